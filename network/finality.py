"""What is final for a client, and which reads count (rules 38 and 39).

Final are a receipt, or that W distinct members state, each about a certified block past the
expiry, that the transaction is in no block: `confirm_expired`. A read that counts is a proof
against a certified header that is not older than `FRESH_MS` by the reader's clock; where the chain
stands still, W members are asked for their heads, and the read counts if none of them is further:
`read_proven`. No node is believed on its own, and no answer is counted without its proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.chain.certificate import (
    Certificate,
    decode_certificate,
    verify_certificate,
    weak_quorum,
)
from ledger.chain.epochs import decode_change
from ledger.chain.expiry import ExpiryStatement, decode_statement, verify_expired, verify_statement
from ledger.chain.header import Header, decode_header
from ledger.encoding import Value, decode
from ledger.errors import Code, CreditLedgerError, Refused, RemoteError
from ledger.state.overlay import leaf_key, leaf_value
from ledger.state.tables import ALL_TABLES
from ledger.state.tree import decode_proof, verify_proof
from network import methods
from network.client import Client

FRESH_MS = 30_000
TRIES = 5


@dataclass(frozen=True, slots=True)
class Proven:
    """A value of the state (None: absent) and the certified header that proves it."""

    value: Value
    header: Header
    certificate: Certificate


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _follow(client: Client, epoch: int) -> None:
    """Learn the changes of members up to an epoch, each proven."""
    while epoch > (known := client.trusted.last.epoch):
        answer = await client.query("epochs.changes", {"after_epoch": known})
        client.trusted.follow([decode_change(data) for data in answer["changes"]])
        if client.trusted.last.epoch == known:
            raise Refused(Code.EPOCH_INVALID, f"no change leads from epoch {known} to {epoch}")


async def confirm_expired(
    client: Client, transaction_id: bytes, expires_at_ms: int
) -> tuple[ExpiryStatement, ...]:
    """Return statements of W distinct members that the transaction has expired, all verified.

    Raises what the last node said where so many do not state it: it is not final then.
    """
    found: dict[str, ExpiryStatement] = {}
    failure: CreditLedgerError | None = None
    params = {"id": transaction_id, "expires_at_ms": expires_at_ms}
    for node in client.profile.nodes:
        try:
            answer = await client.ask_node(node, methods.EXPIRED, params)
            statement = decode_statement(_bytes(answer, "statement"))
            await _follow(client, statement.header.epoch)
            found[verify_statement(statement, client.trusted)] = statement
        except (RemoteError, Refused) as error:
            failure = error
        if len(found) >= weak_quorum(len(client.trusted.last.validators)):
            statements = tuple(found.values())
            verify_expired(statements, transaction_id, expires_at_ms, client.trusted)
            return statements
    raise failure or Refused(Code.RECEIPT_INVALID, f"{len(found)} members state that it expired")


async def read_proven(
    client: Client, table: str, key: bytes, *, now_ms: Callable[[], int] = _now_ms
) -> Proven:
    """Return a state entry with its proof, fresh by the reader's clock or current for W members.

    `now_ms` is real time; the chain's offset is added. Raises `Refused` (13xx) for an answer that
    proves nothing, `RemoteError` 5105 where it is stale.
    """
    clock_ms = now_ms() + client.profile.genesis.clock_offset_ms
    failure: CreditLedgerError | None = None
    for _ in range(TRIES):
        try:
            proven = await _read_once(client, table, key)
        except (RemoteError, Refused) as error:
            failure = error
            continue
        if proven.header.time_ms >= clock_ms - FRESH_MS or await _is_current(client, proven.header):
            return proven
    raise failure or RemoteError("network", Code.NOT_SYNCED, "the state that was shown is stale")


async def _read_once(client: Client, table: str, key: bytes) -> Proven:
    answer = await client.query("state.proof", {"table": table, "key": key})
    header = decode_header(_bytes(answer, "header"))
    await _follow(client, header.epoch)
    certificate = await _certificate(client, answer, header)
    found = next(item for item in ALL_TABLES if item.name == table)
    data = answer.get("value")
    if data is not None and type(data) is not bytes:
        raise Refused(Code.FRAME_MALFORMED, "answer has a value that is not bytes")
    value = None if data is None else leaf_value(data)
    proof = decode_proof(_bytes(answer, "proof"))
    verify_proof(header.state_root, leaf_key(found, key), value, proof)
    return Proven(None if data is None else decode(data), header, certificate)


async def _certificate(client: Client, answer: Mapping[str, Any], header: Header) -> Certificate:
    """Return the certificate of the header, verified; asked for where it came after the answer."""
    data = answer.get("certificate")
    if data is None:
        later = await client.query("block.certificate", {"height": header.height})
        data = _bytes(later, "certificate")
    certificate = decode_certificate(data)
    if (certificate.epoch, certificate.block_hash) != (header.epoch, header.hash()):
        raise Refused(Code.CERTIFICATE_INVALID, "certificate is of another block than the header")
    validators = client.trusted.validators(header.epoch)
    client.trusted.check_height(header.epoch, header.height)
    verify_certificate(certificate, header.chain_id, [public for _, public in validators])
    return certificate


async def _is_current(client: Client, header: Header) -> bool:
    """Tell whether W distinct members answer and none has certified a later block."""
    members: set[str] = set()
    for node in client.profile.nodes:
        try:
            answer = await client.ask_node(node, methods.HEAD, {})
            head = methods.head_from_value(answer)
        except (RemoteError, Refused):
            continue
        if head.certified_height > header.height:
            return False
        members.add(node.member)
    return len(members) >= weak_quorum(len(client.trusted.last.validators))


def _bytes(answer: Any, name: str) -> bytes:
    value = answer.get(name) if isinstance(answer, Mapping) else None
    if type(value) is not bytes:
        raise Refused(Code.FRAME_MALFORMED, f"answer has no {name}")
    return value
