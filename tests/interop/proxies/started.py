"""The proxies, on free loopback ports, each with its file of deploy/proxies."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

from support.clients import ROOT, TOOLS
from support.server import plain_environment

START_LIMIT_SECONDS = 20
STOP_LIMIT_SECONDS = 20
POLL_SECONDS = 0.02
FILES = ROOT / "deploy/proxies"

NGINX_AROUND = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxied;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/otto-handler.conf;
}}
"""

CERTIFICATE = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
"""


class Missing(Exception):
    """Why a proxy cannot be run here."""


class Proxy:
    """A proxy before a server; `push_url` is for producers, `read_url` for readers."""

    program = ""
    stop_signal = signal.SIGTERM

    def __init__(self, server, folder):
        self.path = installed(self.program)
        self.server, self.folder = server, folder
        folder.mkdir()
        self.push_port, self.read_port = free_port(), free_port()
        self.push_url = f"http://127.0.0.1:{self.push_port}"
        self.read_url = f"http://127.0.0.1:{self.read_port}"
        self.trust = None
        self.configure()
        self.start()

    def start(self):
        with open(self.folder / "output.log", "ab") as output:
            streams = {"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL}
            self.process = subprocess.Popen(self.command(), env=self.environment(), **streams)
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not all(map(accepts, (self.push_port, self.read_port))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} did not start: {self.log_end()}")
            time.sleep(POLL_SECONDS)

    def environment(self):
        return plain_environment()

    def stop(self):
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def log_end(self):
        logs = [self.folder / name for name in ("output.log", "error.log")]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()[-5:]]
        return "\n".join(lines)

    def tls(self):
        """What readers check the proxy's certificate with."""
        return ssl.create_default_context(cafile=self.trust) if self.trust else None

    def push_environment(self):
        return plain_environment() | ({"SSL_CERT_FILE": str(self.trust)} if self.trust else {})

    def version(self):
        asked = subprocess.run([self.path, *self.version_arguments], capture_output=True, text=True, check=True)
        return (asked.stdout + asked.stderr).splitlines()[0]


class Nginx(Proxy):
    program = "nginx"
    version_arguments = ("-v",)

    def configure(self):
        replaced = {
            "listen 8081 http2;": f"listen 127.0.0.1:{self.push_port} http2;",
            "listen 80;": f"listen 127.0.0.1:{self.read_port};",
        }
        self.write_file(self.file_text(), replaced)
        (self.folder / "nginx.conf").write_text(NGINX_AROUND.format(folder=self.folder))

    def file_text(self):
        return (FILES / "nginx.conf").read_text()

    def write_file(self, text, replaced):
        upstreams = {"127.0.0.1:8080": self.server.grpc, "127.0.0.1:4000": self.server.http}
        (self.folder / "otto-handler.conf").write_text(with_replaced(text, upstreams | replaced))

    def command(self):
        return [self.path, "-p", self.folder, "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf"]


class NginxTls(Nginx):
    """The same file with its part for TLS in use; the plain servers are left out."""

    def configure(self):
        self.read_port = self.push_port
        self.push_url = self.read_url = f"https://localhost:{self.push_port}"
        self.trust, key = self.folder / "trusted.pem", self.folder / "key.pem"
        make_certificate(self.folder, self.trust, key)
        head, mark, tail = self.file_text().partition("# Where producers push, in plain text.")
        assert mark, "the file has no plain servers"
        lines = [line.removeprefix("#tls").removeprefix(" ") for line in tail.splitlines() if line.startswith("#tls")]
        replaced = {
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.push_port} ssl http2;",
            "/etc/nginx/otto-handler.crt": str(self.trust),
            "/etc/nginx/otto-handler.key": str(key),
        }
        self.write_file(head + "\n".join(lines), replaced)
        (self.folder / "nginx.conf").write_text(NGINX_AROUND.format(folder=self.folder))


class Caddy(Proxy):
    program = "caddy"
    version_arguments = ("version",)
    # It would wait for its streams' end.
    stop_signal = signal.SIGKILL

    def configure(self):
        replaced = {
            # No other server of this machine may have the port of its administration.
            "{\n\tservers {": "{\n\tadmin off\n\tservers {",
            "http://:8081 {": f"http://:{self.push_port} {{\n\tbind 127.0.0.1",
            "http://:80 {": f"http://:{self.read_port} {{\n\tbind 127.0.0.1",
            "h2c://127.0.0.1:8080 { #": f"h2c://{self.server.grpc} {{ #",
            "127.0.0.1:4000 { #": f"{self.server.http} {{ #",
        }
        (self.folder / "Caddyfile").write_text(with_replaced((FILES / "Caddyfile").read_text(), replaced))

    def environment(self):
        home = str(self.folder)
        return plain_environment() | {"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}

    def command(self):
        return [self.path, "run", "--config", self.folder / "Caddyfile", "--adapter", "caddyfile"]


KINDS = {"nginx": Nginx, "nginx-tls": NginxTls, "caddy": Caddy}


def installed(program):
    folders = [TOOLS / program / "usr/sbin", TOOLS / program / "usr/bin", os.environ["PATH"], "/usr/sbin"]
    found = shutil.which(program, path=os.pathsep.join(map(str, folders)))
    if not found:
        raise Missing(f"{program} is not installed; scripts/setup.sh installs it on Debian")
    return found


def with_replaced(text, replaced):
    for old, new in replaced.items():
        assert old in text, f"the file does not have {old!r}"
        text = text.replace(old, new)
    return text


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def make_certificate(folder, certificate, key):
    config = folder / "certificate.cnf"
    config.write_text(CERTIFICATE)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", config]
    made = subprocess.run([*command, "-out", certificate, "-keyout", key], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"openssl made no certificate: {made.stderr}")
