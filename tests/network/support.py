"""What the network's tests share: a small consortium with certificates, and a wire without wires.

`Consortium` makes keys and certificates in a folder. `Wire` stands for the network between them:
`dial` gives a memory stream whose other end goes to whoever listens on that port, so that TLS is
real, time is a `MockClock`'s, and a link can be cut. No test waits for time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import trio
from trio.testing import MockClock, memory_stream_pair

from ledger.encoding import encode
from ledger.keys import SigningKey
from network.certificates import (
    ClientIdentity,
    Identity,
    NodeIdentity,
    issue_to_files,
    make_member_certificate,
)
from network.tls import TlsEndpoint

T = TypeVar("T")

MEMBERS = ("tax", "transport", "treasury", "works")
CHAIN = bytes(range(32))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def run(test: Callable[[], Awaitable[T]], clock: MockClock | None = None) -> T:
    """Run an async test; one that hangs ends after some minutes of its clock's time."""

    async def bounded() -> T:
        with trio.fail_after(300 if clock is None else 100_000):
            return await test()

    return trio.run(bounded, clock=clock)


class Consortium:
    """Members with keys and certificates; endpoints are made on demand and kept."""

    def __init__(self, folder: Path, members: Sequence[str] = MEMBERS, salt: str = "") -> None:
        self.folder = folder
        self.members = tuple(members)
        self.now = datetime.now(UTC)
        self.seeds = {name: (name + salt).encode().ljust(32, b"!") for name in self.members}
        self.node_seeds = {name: (name + salt).encode().ljust(32, b"?") for name in self.members}
        self.certificates = {
            name: make_member_certificate(seed, name, self.now) for name, seed in self.seeds.items()
        }
        self.anchors = {name: (der,) for name, der in self.certificates.items()}
        self._endpoints: dict[Identity, TlsEndpoint] = {}

    def files(
        self,
        identity: Identity,
        *,
        issuer: str | None = None,
        valid_from: datetime | None = None,
        days: int = 30,
    ) -> tuple[Path, Path]:
        """Make a leaf certificate and its key as two files."""
        stem = str(identity).replace(":", "_") + f"_{len(list(self.folder.iterdir()))}"
        paths = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        name = issuer or identity.member
        issue_to_files(
            *paths,
            member_certificate=self.certificates[name],
            member_seed=self.seeds[name],
            identity=identity,
            valid_from=valid_from or self.now,
            days=days,
        )
        return paths

    def endpoint(self, identity: Identity) -> TlsEndpoint:
        """Return the endpoint of an honest party."""
        if identity not in self._endpoints:
            self._endpoints[identity] = TlsEndpoint(self.anchors, *self.files(identity))
        return self._endpoints[identity]

    def node(self, member: str) -> TlsEndpoint:
        """Return the endpoint of a member's node."""
        return self.endpoint(NodeIdentity(member))

    def client(self, member: str, name: str = "cli") -> TlsEndpoint:
        """Return the endpoint of a member's client."""
        return self.endpoint(ClientIdentity(member, name))

    def genesis(self) -> bytes:
        """Return a genesis document of these members, all validators, and nothing else."""
        members = [
            {
                "id": name,
                "name": name,
                "name_zh": name,
                "role": "department",
                "capabilities": [],
                "public_key": SigningKey(self.seeds[name]).public_key,
                "certificate": self.certificates[name],
                "kind": "",
                "node": {
                    "public_key": SigningKey(self.node_seeds[name]).public_key,
                    "address": f"127.0.0.1:{7000 + index}",
                },
            }
            for index, name in enumerate(self.members)
        ]
        document: dict[str, Any] = {
            "format": "creditledger/genesis/1",
            "name": "test",
            "time_ms": 1_600_000_000_000,
            "clock_offset_ms": 0,
            "members": members,
            "validators": list(self.members),
            "categories": [],
            "rules": [],
            "settings": {},
        }
        return encode(document)


Take = Callable[[trio.abc.Stream, str], Awaitable[None]]


class Wire:
    """Memory streams between parties, by port."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.listening: dict[int, Take] = {}
        self.links: list[tuple[trio.abc.Stream, trio.abc.Stream]] = []
        self.dialled: list[float] = []

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        """Connect, as `trio.open_tcp_stream` does; refused where nobody listens."""
        self.dialled.append(trio.current_time())
        take = self.listening.get(port)
        if take is None:
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError(111, "connection refused")
        near, far = memory_stream_pair()
        self.links.append((near, far))
        self._nursery.start_soon(take, far, host)
        return near

    async def cut(self) -> None:
        """Break every link at once."""
        links, self.links = self.links, []
        for pair in links:
            for stream in pair:
                await trio.aclose_forcefully(stream)
