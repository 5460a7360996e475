"""Block headers: what a certificate certifies (DESIGN 3).

One header proves order (batch digest), results, state and members at once, and through
`parent_hash` all that came before it. The proposer, the view and the votes are not in it, because
honest nodes may commit the same block in different views (rule 16). Height 0 is genesis.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from ledger.chain.hashes import BLOCK_TAG, HASH_BYTES, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused

HEADER_VERSION = 1
_INT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one block; hashes are 32 bytes, `time_ms` is chain time (rule 15)."""

    version: int
    chain_id: bytes
    height: int
    parent_hash: bytes
    time_ms: int
    batch_digest: bytes
    results_root: bytes
    state_root: bytes
    members_root: bytes
    epoch: int
    transaction_count: int

    def __post_init__(self) -> None:
        if self.version != HEADER_VERSION:
            raise Refused(Code.HEADER_MALFORMED, f"header version {self.version}, want 1")
        for number in (self.height, self.time_ms, self.epoch, self.transaction_count):
            if type(number) is not int or not 0 <= number <= _INT_MAX:
                raise Refused(Code.HEADER_MALFORMED, "header number is out of range")
        for item in (
            self.chain_id,
            self.parent_hash,
            self.batch_digest,
            self.results_root,
            self.state_root,
            self.members_root,
        ):
            if type(item) is not bytes or len(item) != HASH_BYTES:
                raise Refused(Code.HEADER_MALFORMED, "header hash is not 32 bytes")

    def encoded(self) -> bytes:
        """Return the canonical bytes of the header."""
        return encode(astuple(self))

    def hash(self) -> bytes:
        """Return the block hash: the tagged hash of the canonical bytes."""
        return tagged_hash(BLOCK_TAG, self.encoded())


_FIELDS = 11


def decode_header(data: bytes) -> Header:
    """Return the header of canonical bytes; raise `Refused` (10xx, 1301)."""
    value = decode(data, max_bytes=1024)
    if type(value) is not tuple or len(value) != _FIELDS:
        raise Refused(Code.HEADER_MALFORMED, "header is not a list of 11 fields")
    return Header(*value)
