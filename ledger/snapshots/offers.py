"""Where a transfer starts: snapshots that others offer, each proved from an anchor (rule 41, F73).

An offer is the header of the snapshot's block, its certificate, and the changes of members up to
its epoch. From the members of genesis the changes lead to those who certified the block; whoever
offers a height that nobody certified is caught at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.chain.certificate import Certificate, certificate_from_value, verify_certificate
from ledger.chain.epochs import EpochChange, Validators, change_from_value, follow_epochs
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode, encode
from ledger.errors import Refused
from ledger.snapshots.checks import invalid
from ledger.snapshots.limits import OFFER_BYTES_MAX, SNAPSHOTS_KEPT


@dataclass(frozen=True, slots=True)
class Offer:
    """A snapshot that can be had: its block's header, the certificate, the changes before it."""

    header: Header
    certificate: Certificate
    changes: tuple[EpochChange, ...]

    def to_value(self) -> tuple[Any, ...]:
        """Return the value to encode."""
        changes = tuple(item.to_value() for item in self.changes)
        return (self.header.encoded(), self.certificate.to_value(), changes)


def encode_offers(offers: Sequence[Offer]) -> bytes:
    """Return the answer to an `OfferQuery`."""
    return encode(tuple(offer.to_value() for offer in offers))


def read_offers(data: bytes, chain_id: bytes, validators: Validators) -> tuple[Offer, ...]:
    """Return the offers in an answer, proved; raise `Refused` (1302, 1306, 1310) for a lie.

    `validators` are those of genesis. Any certified height will do: which ones are kept is the
    source's affair.
    """
    value = decode(data, max_bytes=OFFER_BYTES_MAX)
    if type(value) is not tuple or len(value) > SNAPSHOTS_KEPT:
        raise invalid(f"offers are not a list of at most {SNAPSHOTS_KEPT}")
    return tuple(_read_offer(item, chain_id, validators) for item in value)


def _read_offer(value: object, chain_id: bytes, validators: Validators) -> Offer:
    if type(value) is not tuple or [type(part) for part in value] != [bytes, tuple, tuple]:
        raise invalid("offer is not a header, a certificate and changes")
    header, certificate = decode_header(value[0]), certificate_from_value(value[1])
    changes = tuple(change_from_value(item) for item in value[2])
    if header.chain_id != chain_id or header.height < 1:
        raise invalid(f"offered height {header.height} is no block of this chain")
    if certificate.height != header.height or certificate.block_hash != header.hash():
        raise invalid(f"certificate is not of the offered block {header.height}")
    epoch, members = follow_epochs(chain_id, validators, changes)
    if (header.epoch, certificate.epoch) != (epoch, epoch):
        raise invalid(f"block {header.height} is of epoch {header.epoch}, shown is {epoch}")
    keys = tuple(key for _, key in members)
    try:
        verify_certificate(certificate, chain_id, keys)
    except Refused as error:
        raise invalid(f"offered block {header.height}: {error.message}") from None
    return Offer(header, certificate, changes)
