"""The real server program, on free loopback ports and with its own data directory."""

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
    def __init__(self, binary, folder, flags=("--task-grace=0s",)):
        self.binary, self.folder, self.flags = binary, folder, flags
        self.grpc = self.http = ANY_PORT
        self.start()

    def start(self):
        """Starts it; a second start uses the same ports."""
        command = [self.binary, "serve", "--auth", "none", "--grpc-addr", self.grpc, "--http-addr", self.http]
        command += ["--data-dir", self.folder / "data", "--print-addrs", *self.flags]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=plain_environment())
        first_line = self.process.stdout.readline()
        if not first_line:
            raise RuntimeError(f"the server did not start: {self.log_end()}")
        addresses = json.loads(first_line)
        self.grpc, self.http = addresses["grpc"], addresses["http"]
        self.metrics = addresses.get("metrics")

    def crash_and_restart(self):
        """Kills it with SIGKILL and starts it again."""
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

    def log_end(self):
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:])

    def history(self, task):
        """The kept messages of a task, by worker; empty for an unknown task."""
        url = f"http://{self.http}/api/v1/log-streaming/tasks/{task}/logs?format=ndjson&gaps=omit"
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        by_worker = {}
        try:
            with without_proxy.open(url, timeout=READ_LIMIT_SECONDS) as response:
                for entry in map(json.loads, response):
                    by_worker.setdefault(entry["workerId"], []).append(entry["message"])
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
        return by_worker


def plain_environment():
    """Our environment without the variables that would configure the server."""
    server_variables = ("OTTO_", "JWT_", "PORT", "FRONTEND_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(server_variables)}
