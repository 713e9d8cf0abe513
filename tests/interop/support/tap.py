"""A TCP proxy before the server that counts the gRPC messages it has passed on.

A client that cancels may throw away what it has not sent yet, so its own count proves nothing: what reached
the server's socket is counted. HTTP/2 frames: RFC 9113 §4.1 and §6.1; gRPC messages: five bytes of prefix.
"""

import socket
import threading

PREFACE_BYTES = 24
FRAME_HEADER_BYTES = 9
DATA, RST_STREAM = 0, 3
END_STREAM, PADDED = 1, 8
GRPC_PREFIX_BYTES = 5
READ_BYTES = 65536


class Counter:
    """Counts the complete messages in one direction of one HTTP/2 connection."""

    def __init__(self):
        self.unread, self.preface_left = b"", PREFACE_BYTES
        self.messages, self.half_closed, self.resets = 0, 0, 0
        self.bodies = {}

    @property
    def streams(self):
        return len(self.bodies)

    def take(self, received):
        skipped = min(self.preface_left, len(received))
        self.preface_left -= skipped
        self.unread += received[skipped:]
        while len(self.unread) >= FRAME_HEADER_BYTES:
            end = FRAME_HEADER_BYTES + int.from_bytes(self.unread[:3], "big")
            if len(self.unread) < end:
                return
            frame, self.unread = self.unread[:end], self.unread[end:]
            self._frame(frame[3], frame[4], frame[5:9], frame[FRAME_HEADER_BYTES:])

    def _frame(self, kind, flags, stream, payload):
        self.resets += kind == RST_STREAM
        if kind == DATA:
            self.half_closed += bool(flags & END_STREAM)
            if flags & PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            self.bodies[stream] = self._count(self.bodies.get(stream, b"") + payload)

    def _count(self, body):
        while len(body) >= GRPC_PREFIX_BYTES:
            end = GRPC_PREFIX_BYTES + int.from_bytes(body[1:5], "big")
            if len(body) < end:
                break
            self.messages += 1
            body = body[end:]
        return body


class Tap:
    """Listens on its own port. `reached` is valid once the client has ended and `wait` has returned."""

    def __init__(self, server_address):
        host, port = server_address.rsplit(":", 1)
        self.server = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.counters, self.threads = [], []
        threading.Thread(target=self._accept, name="tap-accept", daemon=True).start()

    @property
    def reached(self):
        return self._sum("messages")

    def describe(self):
        streams = self._sum("streams")
        ends = f"{self._sum('half_closed')} half-closed, {self._sum('resets')} reset"
        return f"{self.reached} entries reached the server on {streams} streams, {ends}"

    def _sum(self, name):
        return sum(getattr(counter, name) for counter in self.counters)

    def wait(self, limit_seconds):
        self.listener.close()
        for thread in self.threads:
            thread.join(limit_seconds)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            counter = Counter()
            self.counters.append(counter)
            for source, sink, take in ((client, server, counter.take), (server, client, None)):
                thread = threading.Thread(target=pass_on, args=(source, sink, take), name="tap", daemon=True)
                self.threads.append(thread)
                thread.start()


def pass_on(source, sink, take):
    """Copies until the source ends; only what the sink took is counted."""
    try:
        while received := source.recv(READ_BYTES):
            sink.sendall(received)
            if take:
                take(received)
    except OSError:
        pass
    half_close(sink)


def half_close(sink):
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
