"""Reads what a real node wrote with its setting `trace`, as lines of the reference model.

One line is one JSON array: the verb and its content, bytes in hexadecimal; messages and records are
in the byte form of the protocol. `restored` says what the vote log held at a start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from consensus.log import decode_record
from consensus.wire import decode_message
from ledger.chain.certificate import decode_certificate
from tests.reference.model import Reference
from tests.reference.neutral import Translator, certificate_tuple

Line = tuple[Any, ...]


def read_trace(path: Path, node: str, chain_id: bytes) -> Iterator[Line]:
    """Yield the lines of one node's trace; a last line that is cut off is left out."""
    translator = Translator(chain_id)
    with path.open(encoding="ascii") as file:
        for text in file:
            if text.endswith("\n"):
                verb, *content = json.loads(text)
                for line in _READERS[verb](translator, verb, content):
                    yield (node, *line)


def _start(translator: Translator, verb: str, content: list[Any]) -> Iterator[Line]:
    *place, height, certificate, blocks = content
    known = None
    if certificate is not None:
        known = certificate_tuple(decode_certificate(bytes.fromhex(certificate)))
    yield (verb, *place, height, known, tuple(_block(translator, *item) for item in blocks))


def _block(translator: Translator, height: int, digest: str, block_hash: str) -> Line:
    return height, translator.digest(height, bytes.fromhex(digest)), bytes.fromhex(block_hash)


def _message(translator: Translator, verb: str, content: list[Any]) -> Iterator[Line]:
    for message in translator.messages(decode_message(bytes.fromhex(content[0]))):
        yield verb, message


def _record(translator: Translator, verb: str, content: list[Any]) -> Iterator[Line]:
    yield verb, translator.record(decode_record(bytes.fromhex(content[0])))


def _executed(translator: Translator, verb: str, content: list[Any]) -> Iterator[Line]:
    height, digest, block_hash, pending = content
    yield (verb, *_block(translator, height, digest, block_hash), pending)


def _state(translator: Translator, verb: str, content: list[Any]) -> Iterator[Line]:
    yield verb, certificate_tuple(decode_certificate(bytes.fromhex(content[0]))), content[1]


_READERS = {
    "state": _state,
    "start": _start,
    "restored": _record,
    "received": _message,
    "persisted": _record,
    "executed": _executed,
    "installed": _executed,
    "sent": _message,
}


def check_traces(paths: dict[str, Path], chain_id: bytes) -> Reference:
    """Return the model after the traces of several nodes; raise `BreachError`."""
    reference = Reference()
    for node, path in paths.items():
        reference.check(read_trace(path, node, chain_id))
    return reference
