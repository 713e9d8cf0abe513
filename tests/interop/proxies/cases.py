"""What must work through every proxy. Each case is a function that raises where it does not."""

import http.client
import json
import subprocess
from urllib.parse import urlsplit

LIMIT_SECONDS = 60
API = "/api/v1/log-streaming"
MANY_LINES = 30_000
LIVE_LINES = 20
HALF = 300


class Push:
    """A `push` through the proxy, whose standard input is written here."""

    def __init__(self, program, proxy, task):
        command = [program, "push", "--to", proxy.push_url, "--task", task, "--worker", "w", "--end-task", "--required"]
        pipe = subprocess.PIPE
        environment = proxy.push_environment()
        self.process = subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True, env=environment)

    def write(self, *lines):
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def finish(self):
        """Ends the input; what was said on standard error."""
        _, said = self.process.communicate(timeout=LIMIT_SECONDS)
        assert self.process.returncode == 0, said
        return said


def get(proxy, path, headers={}):
    """An open response."""
    address = urlsplit(proxy.read_url)
    if address.scheme == "https":
        connection = http.client.HTTPSConnection(address.netloc, timeout=LIMIT_SECONDS, context=proxy.tls())
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=LIMIT_SECONDS)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    assert response.status == 200, f"{path}: {response.status} {response.read()}"
    return response


def get_json(proxy, path):
    return json.load(get(proxy, f"{API}{path}"))


def events(proxy, task, last_event_id=None):
    """The events `(name, id, data)` of a task's stream, but for heartbeats."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    response = get(proxy, f"{API}/stream/{task}", headers)
    event = {}
    for line in response:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field:
            event[field] = value
            continue
        if event.get("event", "heartbeat") != "heartbeat":
            yield event["event"], event.get("id"), json.loads(event["data"])
        event = {}


def logs(stream, count):
    """The messages of the next `count` lines, and the id of the last event; a gap is an error."""
    messages, last_id = [], None
    while len(messages) < count:
        name, last_id, data = next(stream)
        assert name in ("log", "status"), f"{name} after {len(messages)} lines: {data}"
        if name == "log":
            messages.append(data["message"])
    return messages, last_id


def numbered(first, last):
    return [f"line {number}" for number in range(first, last + 1)]


def push_much(program, proxy):
    """More than a proxy takes of an ordinary request: nothing is cut and nothing is sent again."""
    lines = [f"{number} {'long enough to be seen ' * 4}" for number in range(MANY_LINES)]
    push = Push(program, proxy, "much")
    push.write(*lines)
    said = push.finish()
    assert "trying again" not in said and ", 0 reconnects" in said, said
    text = get(proxy, f"{API}/tasks/much/logs?format=text").read().decode()
    assert text.splitlines() == lines, f"{len(text.splitlines())} lines"
    return f"{len(text) >> 20} MiB on one stream"


def list_tasks(program, proxy):
    """The list, one task, and the viewer's page."""
    push = Push(program, proxy, "listed")
    push.write("one", "two")
    push.finish()
    [task] = get_json(proxy, "/tasks?name=listed")["tasks"]
    assert (task["taskId"], task["lines"], task["outcome"]) == ("listed", 2, "succeeded"), task
    assert get_json(proxy, "/tasks/listed") == task
    assert b"<title>otto-handler</title>" in get(proxy, "/tasks/listed").read()


def follow_live(program, proxy):
    """Each line is seen before the next one is written: nothing holds lines back, in either direction."""
    push = Push(program, proxy, "live")
    stream = events(proxy, "live")
    for line in numbered(1, LIVE_LINES):
        push.write(line)
        assert logs(stream, 1)[0] == [line]
    said = push.finish()
    rest = list(stream)
    assert [name for name, _, _ in rest] == ["status", "end", "complete"], rest
    assert rest[-1][2]["outcome"] == "succeeded", rest
    assert ", 0 reconnects" in said, said


def resume_after_a_restart(program, proxy):
    """The proxy goes away under a push and a reader: both come back, and no line is lost or told twice."""
    push = Push(program, proxy, "resumed")
    push.write(*numbered(1, HALF))
    messages, last_id = logs(events(proxy, "resumed"), HALF)
    assert messages == numbered(1, HALF)
    proxy.restart()
    push.write(*numbered(HALF + 1, 2 * HALF))
    messages, _ = logs(events(proxy, "resumed", last_id), HALF)
    assert messages == numbered(HALF + 1, 2 * HALF), messages
    push.finish()
    text = get(proxy, f"{API}/tasks/resumed/logs?format=text").read().decode()
    assert text.splitlines() == numbered(1, 2 * HALF)
    [worker] = get_json(proxy, "/tasks/resumed")["workers"]
    assert (worker["cut"], worker["missing"], worker["state"]) == (0, 0, "COMPLETED"), worker


CASES = (push_much, list_tasks, follow_live, resume_after_a_restart)
