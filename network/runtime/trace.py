"""What a node has received, made durable, executed and sent, line by line: for finding faults.

Written when config.toml says `trace = "FILE"` (relative to the home), and judged afterwards by the
reference model of the protocol. One line is one JSON array: a verb and its content, bytes in
hexadecimal, messages and records in the byte form of the protocol:

    ["start", epoch, index, members, window, height, certificate, [[height, digest, hash], ...]]
    ["restored", record]       the vote log held it at this start
    ["received", message]      as the replica is given it, its signatures verified
    ["persisted", record]      the sync has returned
    ["executed", height, batch digest, block hash, height of a pending change of members or null]
    ["installed", ...]         the same for a fetched block
    ["state", certificate, height of a pending change of members or null]      a snapshot's block
    ["sent", message]

Each line is written at once, so that a killed process leaves all it has done; a node that traces is
slower, and the file grows without a bound.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from consensus.config import ReplicaConfig
from consensus.effects import Effect, Execute
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    MessageReceived,
    StateInstalled,
)
from consensus.log import VoteRecord, encode_record
from consensus.wire import encode_message
from ledger.storage.files import file_error
from network.runtime.loop import Machine


class Trace:
    """The trace of one node; its parts tell it what they have done."""

    def __init__(self, path: Path) -> None:
        """Open `path` to go on at its end; raise `StorageError` (6002, 6003)."""
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise file_error(error, path) from None

    def _write(self, *line: Any) -> None:
        text = json.dumps(line, separators=(",", ":"))
        try:
            os.write(self._file, text.encode("ascii") + b"\n")
        except OSError as error:
            raise file_error(error, self._path) from None

    def start(self, config: ReplicaConfig, head: ChainHead, records: Iterable[VoteRecord]) -> None:
        """Note a replica that begins, at a start of the node or of an epoch."""
        certificate = None if head.certificate is None else head.certificate.encoded().hex()
        blocks = [
            (item.height, item.batch_digest.hex(), item.block_hash.hex()) for item in head.recent
        ]
        place = (config.epoch, config.index, config.size, config.limits.window, head.height)
        self._write("start", *place, certificate, blocks)
        for record in records:
            self._write("restored", encode_record(record).hex())

    def persisted(self, records: Sequence[VoteRecord]) -> None:
        """Note records that are durable now."""
        for record in records:
            self._write("persisted", encode_record(record).hex())

    def sent(self, message: bytes) -> None:
        """Note an encoded message that goes to one member or to all."""
        self._write("sent", message.hex())

    def block(self, verb: str, event: BatchExecuted | BlockInstalled, digest: bytes) -> None:
        """Note a block that is durable."""
        pending = None if event.epochs.pending is None else event.epochs.pending[0]
        self._write(verb, event.height, digest.hex(), event.block_hash.hex(), pending)

    def state(self, event: StateInstalled) -> None:
        """Note a snapshot that is installed."""
        pending = None if event.epochs.pending is None else event.epochs.pending[0]
        self._write("state", event.certificate.encoded().hex(), pending)

    def received(self, event: MessageReceived) -> None:
        """Note a message that the replica is given."""
        self._write("received", encode_message(event.message).hex())


class TracedMachine:
    """A replica whose events are noted (`network.runtime.loop.Machine`)."""

    def __init__(self, machine: Machine, trace: Trace) -> None:
        self._machine = machine
        self._trace = trace
        self._digest = b""

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Note the event, and let the replica process it."""
        if isinstance(event, MessageReceived):
            self._trace.received(event)
        elif isinstance(event, BatchExecuted):
            self._trace.block("executed", event, self._digest)
        elif isinstance(event, BlockInstalled):
            self._trace.block("installed", event, event.batch_digest)
        elif isinstance(event, StateInstalled):
            self._trace.state(event)
        effects = self._machine.handle(event, now)
        for effect in effects:
            if isinstance(effect, Execute):
                self._digest = effect.digest
        return effects
