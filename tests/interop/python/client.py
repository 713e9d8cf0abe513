"""Runs the interop cases with grpcio. It has no generated code: messages and methods come from server reflection.

Usage: client.py ADDR TAP. TAP is ADDR by way of the runner's counting proxy.
It prints `versions: ...`, then `case: ok` or `case: FAIL reason` for every case.
"""

import platform
import sys
import threading

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

LOG_SERVICE = "ottoscaler.v1.OttoHandlerLogService"
ACK, DROP = 0, 2
RECEIVED, IGNORED = 0, 1
PUSHED_LINES, CANCELLED_LINES, CANCELLED_STREAMS = 200, 1000, 10
CASE_LIMIT_SECONDS = 30
STREAM_DEADLINE_SECONDS = 30 * 60


class Handler:
    """The log service, as the server's reflection describes it."""

    def __init__(self, address, described_by):
        # The one client whose messages are packed.
        self.channel = grpc.insecure_channel(address, compression=grpc.Compression.Gzip)
        self.reflection = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(described_by))
        self.service = DescriptorPool(self.reflection).FindServiceByName(LOG_SERVICE)
        self.forward = self._method("ForwardWorkerLogs", self.channel.stream_stream)
        self.notify = self._method("NotifyWorkerStatus", self.channel.unary_unary)

    def _method(self, name, kind):
        method = self.service.methods_by_name[name]
        return kind(
            f"/{LOG_SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

    def message(self, method, **fields):
        return GetMessageClass(self.service.methods_by_name[method].input_type)(**fields)

    def entry(self, task, number, worker=1):
        worker = f"otto-agent-{task}-{worker}"
        return self.message(
            "ForwardWorkerLogs",
            worker_id=worker,
            task_id=task,
            timestamp="2025-09-01T12:34:56+09:00",
            level="INFO",
            source="stdout",
            message=f"line {number}",
            pod_metadata={"pod_name": worker, "namespace": "default"},
        )

    def lines(self, task, first, last, worker=1):
        return [self.entry(task, number, worker) for number in range(first, last + 1)]

    def push(self, entries, timeout=CASE_LIMIT_SECONDS):
        return list(self.forward(iter(entries), timeout=timeout))


def push_acknowledges_every_line(handler):
    responses = handler.push(handler.lines("python-push", 1, PUSHED_LINES))
    expect_responses(responses, [ACK] * PUSHED_LINES)


def cancel_right_after_half_close(handler):
    """Only sends; the runner knows what reached the server and reads it back."""
    for number in range(1, CANCELLED_STREAMS + 1):
        push_and_cancel(handler, handler.lines("python-cancel", 1, CANCELLED_LINES, worker=number))


def push_and_cancel(handler, lines):
    all_taken = threading.Event()

    def entries():
        yield from lines
        all_taken.set()

    call = handler.forward(entries(), timeout=STREAM_DEADLINE_SECONDS)
    all_taken.wait(CASE_LIMIT_SECONDS)
    call.cancel()
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.CANCELLED, "end of the stream")


def thirty_minute_deadline(handler):
    for first in (1, 11):
        entries = handler.lines("python-deadline", first, first + 9)
        expect_responses(handler.push(entries, timeout=STREAM_DEADLINE_SECONDS), [ACK] * 10)


def drop_leaves_the_stream_open(handler):
    nameless = handler.entry("python-drop", 0)
    nameless.task_id = ""
    responses = handler.push([handler.entry("python-drop", 1), nameless, handler.entry("python-drop", 2)])
    expect_responses(responses, [ACK, DROP, ACK])
    expect("task_id" in responses[1].message, True, f"the reason {responses[1].message!r} names task_id")


def status_received_then_ignored(handler):
    notification = handler.message(
        "NotifyWorkerStatus",
        worker_id="otto-agent-python-status-1",
        task_id="python-status",
        status=1,
        timestamp="2025-09-01T12:34:56Z",
        reason="started",
    )
    for wanted in (RECEIVED, IGNORED):
        response = handler.notify(notification, timeout=CASE_LIMIT_SECONDS)
        expect(response.status, wanted, f"status ({response.message})")


def health_is_serving(handler):
    check = health_pb2_grpc.HealthStub(handler.channel).Check
    for service in ("", LOG_SERVICE):
        response = check(health_pb2.HealthCheckRequest(service=service), timeout=CASE_LIMIT_SECONDS)
        expect(response.status, health_pb2.HealthCheckResponse.SERVING, f"health of {service!r}")
    try:
        check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=CASE_LIMIT_SECONDS)
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.NOT_FOUND, "health of an unknown service")
    else:
        raise AssertionError("an unknown service has a health status")


def reflection_lists_the_services(handler):
    names = set(handler.reflection.get_services())
    expect({LOG_SERVICE, "grpc.health.v1.Health"} <= names, True, f"services {sorted(names)}")


def expect_responses(responses, statuses):
    expect(len(responses), len(statuses), "responses")
    for sequence, (response, status) in enumerate(zip(responses, statuses), start=1):
        expect((response.sequence, response.status), (sequence, status), "sequence and status of a response")


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


def run(case, check, handler):
    try:
        check(handler)
        print(f"{case}: ok", flush=True)
    except (AssertionError, grpc.RpcError, KeyError) as error:
        print(f"{case}: FAIL {' '.join(str(error).split())}", flush=True)


def main():
    """Connections stay open until the program ends, as ottoscaler's does."""
    address, tap = sys.argv[1:]
    print(f"versions: grpcio {grpc.__version__}, python {platform.python_version()}")
    direct, tapped = Handler(address, address), Handler(tap, address)
    run("push", push_acknowledges_every_line, direct)
    run("cancel", cancel_right_after_half_close, tapped)
    run("deadline", thirty_minute_deadline, direct)
    run("drop", drop_leaves_the_stream_open, direct)
    run("status", status_received_then_ignored, direct)
    run("health", health_is_serving, direct)
    run("reflection", reflection_lists_the_services, direct)


main()
