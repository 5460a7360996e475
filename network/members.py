"""Members as they are now, proven to a client: their certificates for TLS after keys have rotated.

A client's anchors come from genesis; members come, go and rotate their keys since. What a node says
of a member is proven by the state tree, the tree's root by a header, the header by its epoch's
members, and these by the changes of epochs from genesis on. A node may still leave members out, or
show a state that was: so the header must be fresh (rule 39).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.chain.certificate import decode_certificate, verify_certificate
from ledger.chain.epochs import EpochFollower
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode
from ledger.errors import Code, Refused
from ledger.membership.members import Member, member_from_value
from ledger.state.overlay import leaf_key, leaf_value
from ledger.state.tables import MEMBERS
from ledger.state.tree import decode_proof, verify_proof

FRESH_MS = 30_000


def verify_members(
    answer: Mapping[str, Any], wanted: Sequence[str], trusted: EpochFollower, now_ms: int
) -> list[Member]:
    """Return the members of an answer of `members.proven`, in the order in which they were asked.

    `now_ms` is the reader's clock in chain time. Raises `Refused` (10xx, 13xx) naming what is not
    proven, or a header that is too old.
    """
    header = _verify_header(answer, trusted)
    if header.time_ms < now_ms - FRESH_MS:
        raise Refused(
            Code.PROOF_INVALID,
            f"state of {header.time_ms} ms, want {now_ms - FRESH_MS} or later: ask another node",
        )
    entries = answer.get("members")
    if type(entries) is not tuple or len(entries) != len(wanted):
        raise Refused(Code.PROOF_INVALID, f"answer is not of {len(wanted)} members")
    return [
        _verify_member(name, entry, header) for name, entry in zip(wanted, entries, strict=True)
    ]


def _verify_header(answer: Mapping[str, Any], trusted: EpochFollower) -> Header:
    data, proof = answer.get("header"), answer.get("certificate")
    if type(data) is not bytes or type(proof) is not bytes:
        raise Refused(Code.PROOF_INVALID, "answer has no header or no certificate")
    header, certificate = decode_header(data), decode_certificate(proof)
    is_of_header = certificate.block_hash == header.hash() and certificate.epoch == header.epoch
    if header.chain_id != trusted.chain_id or not is_of_header:
        raise Refused(Code.PROOF_INVALID, "header is of another chain or has another certificate")
    trusted.check_height(header.epoch, header.height)
    keys = [key for _, key in trusted.validators(header.epoch)]
    verify_certificate(certificate, trusted.chain_id, keys)
    return header


def _verify_member(name: str, entry: Any, header: Header) -> Member:
    if type(entry) is not tuple or [type(part) for part in entry] != [bytes, bytes]:
        raise Refused(Code.PROOF_INVALID, f"entry of member {name} is not a value with its proof")
    value, proof = entry
    key = leaf_key(MEMBERS, name.encode())
    verify_proof(header.state_root, key, leaf_value(value), decode_proof(proof))
    return member_from_value(decode(value))
