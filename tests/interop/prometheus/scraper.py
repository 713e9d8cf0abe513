"""A real Prometheus that scrapes one server each second, with the rules of deploy/prometheus."""

import json
import subprocess
import time
import urllib.parse
import urllib.request

from proxies.started import POLL_SECONDS, STOP_LIMIT_SECONDS, free_port
from support.clients import ROOT

FILES = ROOT / "deploy/prometheus"
WAIT_LIMIT_SECONDS = 60


class Prometheus:
    """Started with the file of deploy/prometheus, but for the target's address and shorter intervals."""

    def __init__(self, program, server, folder):
        target = '"otto-handler.example.svc:9464"'
        text = (FILES / "prometheus.yaml").read_text()
        assert target in text, f"{target} is not in prometheus.yaml"
        text = text.replace(target, f'"{server.metrics}"').replace("15s", "1s")
        (folder / "prometheus.yaml").write_text(text)
        (folder / "rules.yaml").write_text((FILES / "rules.yaml").read_text())
        self.log = folder / "prometheus.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb"]
        command.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log.open("wb"))

    def get(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with without_proxy.open(url, timeout=WAIT_LIMIT_SECONDS) as response:
            return json.load(response)["data"]

    def query(self, expression):
        """The values of an instant query, by their labels' texts."""
        result = self.get("query", query=expression)["result"]
        return {json.dumps(sample["metric"], sort_keys=True): float(sample["value"][1]) for sample in result}

    def wait_for(self, expression, expected):
        """Waits until the one value of `expression` is `expected`."""
        deadline = time.monotonic() + WAIT_LIMIT_SECONDS
        found = None
        while time.monotonic() < deadline:
            try:
                found = list(self.query(expression).values())
            except OSError as error:
                found = error
            if found == [expected]:
                return
            time.sleep(POLL_SECONDS * 10)
        raise AssertionError(f"{expression} is {found}, expected {expected}: {self.log_end()}")

    def log_end(self):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
