"""The real server program, on free loopback ports and a data directory of its own."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from http import HTTPStatus

STOP_LIMIT_SECONDS = 20
READ_LIMIT_SECONDS = 10
ANY_PORT = "127.0.0.1:0"


class Server:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.grpc = self.http = ANY_PORT
        self.start()

    def start(self):
        """Starts it, on the same ports as before when it has run before."""
        command = [self.binary, "serve", "--auth", "none", "--grpc-addr", self.grpc, "--http-addr", self.http]
        command += ["--data-dir", self.folder / "data", "--print-addrs"]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=plain_environment())
        first_line = self.process.stdout.readline()
        if not first_line:
            raise RuntimeError(f"the server did not start: {self.last_words()}")
        addresses = json.loads(first_line)
        self.grpc, self.http = addresses["grpc"], addresses["http"]

    def cut(self):
        """Kills it with -9 and starts it again."""
        self.process.kill()
        self.process.wait()
        self.start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self):
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:])

    def history(self, task):
        """The messages kept of a task, by worker; none of a task that is not known."""
        url = f"http://{self.http}/api/v1/log-streaming/tasks/{task}/logs?format=ndjson"
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        by_worker = {}
        try:
            with without_proxy.open(url, timeout=READ_LIMIT_SECONDS) as answer:
                for entry in map(json.loads, answer):
                    by_worker.setdefault(entry["workerId"], []).append(entry["message"])
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
        return by_worker


def plain_environment():
    """Ours without what would configure the server."""
    ours = ("OTTO_", "JWT_", "PORT", "FRONTEND_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
