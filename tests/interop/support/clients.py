"""The clients, and what each can do."""

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
TOOLS = ROOT / ".tools"

CASES = ("push", "cancel", "deadline", "drop", "status", "health", "reflection", "resume")
RESUME = {"resume": "it does not read SSE"}
NO_DEADLINE = "it has no deadline option and refuses the header grpc-timeout as reserved"
NO_CANCEL = "the tool cannot cancel between its half-close and the responses"


@dataclass
class Client:
    """A program that takes addresses and prints `case: ok` or `case: FAIL reason` for each of its cases."""

    name: str
    """Also the prefix of its tasks: `go-push`."""
    setup: str
    """The part of setup.sh that installs what it needs."""
    command: list
    not_applicable: dict = field(default_factory=lambda: RESUME)
    reads_http: bool = False

    @property
    def cases(self):
        return [case for case in CASES if case not in self.not_applicable]

    def arguments(self, server, tap):
        return [*map(str, self.command), server.grpc, server.http if self.reads_http else tap.address]


CLIENTS = (
    Client("go", "go", [TOOLS / "bin/interop-go"]),
    Client("node", "node", ["node", HERE / "node/client.js"]),
    Client("python", "python", [TOOLS / "python/bin/python", HERE / "python/client.py"]),
    Client("grpcurl", "grpcurl", [ROOT / "grpcurl/check.sh"], RESUME | {"cancel": NO_CANCEL}),
    Client("buf", "buf", [HERE / "buf/check.sh"], RESUME | {"cancel": NO_CANCEL, "deadline": NO_DEADLINE}),
    Client(
        "eventsource",
        "node",
        ["node", HERE / "node/eventsource.js"],
        {case: "it only reads SSE" for case in CASES[:-1]},
        reads_http=True,
    ),
)
