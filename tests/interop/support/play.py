"""Lets a client run its cases, then reads back from the server what it reported as pushed."""

import os
import subprocess
import threading
import time

from .clients import HERE, TOOLS
from .tap import Tap

CLIENT_LIMIT_SECONDS = 180
READBACK_LIMIT_SECONDS = 20
READBACK_PAUSE_SECONDS = 0.05
SETUP_UNAVAILABLE = 77
KEPT_LINES = {"push": 200, "deadline": 20, "drop": 2}
"""How many lines each worker has after a case that passed."""


class Played:
    """The result of one client: a verdict per case, which is `ok`, `FAIL ...` or `skipped: ...`."""

    def __init__(self, client):
        self.client, self.verdicts, self.versions, self.notes = client, {}, "", []

    def all_cases(self, verdict):
        self.verdicts = {case: verdict for case in self.client.cases}
        return self


def play(client, server):
    played = Played(client)
    setup = subprocess.run([HERE / "setup.sh", client.setup], capture_output=True, text=True)
    if setup.returncode:
        reason = (setup.stderr.strip().splitlines() or ["no reason given"])[-1]
        word = "skipped:" if setup.returncode == SETUP_UNAVAILABLE else "FAIL set-up:"
        return played.all_cases(f"{word} {reason}")
    tap = Tap(server.grpc)
    run_client(played, server, client.arguments(server, tap))
    tap.wait(READBACK_LIMIT_SECONDS)
    for case in client.cases:
        played.verdicts.setdefault(case, "FAIL no verdict from the client")
        if played.verdicts[case] == "ok":
            played.verdicts[case] = read_back(played, case, server, tap)
    return played


def run_client(played, server, arguments):
    """Runs the client. When it prints `restart`, kills and restarts the server, then writes `restarted` to it."""
    path = f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "no_proxy": "*", "GRPC_VERBOSITY": "ERROR"}
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        watch = threading.Timer(CLIENT_LIMIT_SECONDS, process.kill)
        watch.start()
        for line in map(str.strip, process.stdout):
            if line == "restart":
                server.crash_and_restart()
                process.stdin.write("restarted\n")
                process.stdin.flush()
            else:
                take(played, *line.partition(": ")[::2])
        watch.cancel()


def take(played, word, rest):
    if word == "versions":
        played.versions = rest
    elif word == "note":
        played.notes.append(rest)
    elif word in played.client.cases:
        played.verdicts[word] = rest


def read_back(played, case, server, tap):
    task = f"{played.client.name}-{case}"
    if case == "cancel":
        played.notes.append(f"{task}: {tap.describe()}")
        return poll(server, task, lambda kept: sum(map(len, kept)) == tap.reached > 0)
    if case in KEPT_LINES:
        return poll(server, task, lambda kept: kept and all(len(lines) == KEPT_LINES[case] for lines in kept))
    return "ok"


def poll(server, task, is_enough):
    """`ok` once all that was pushed is kept, each worker's lines numbered from 1 without a gap."""
    deadline = time.monotonic() + READBACK_LIMIT_SECONDS
    while True:
        by_worker = server.history(task)
        disorder = first_disorder(by_worker)
        if disorder:
            return f"FAIL {disorder}"
        if is_enough(by_worker.values()):
            return "ok"
        if time.monotonic() > deadline:
            counts = {worker: len(lines) for worker, lines in by_worker.items()}
            return f"FAIL kept: {counts}"
        time.sleep(READBACK_PAUSE_SECONDS)


def first_disorder(by_worker):
    for worker, messages in by_worker.items():
        for number, message in enumerate(messages, start=1):
            if message != f"line {number}":
                return f"{worker} has {message!r} as its entry {number}"
    return None
