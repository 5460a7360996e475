"""States for a client that its transaction has expired and stands in no block (rule 38).

Only a validator states it, under the key by which it votes, about the last block that is certified
here; what stands in a block, or may still be ordered, is refused with where it stands.
"""

from __future__ import annotations

from ledger.chain.expiry import ExpiryStatement, expiry_signing_input
from ledger.errors import Code, Refused
from ledger.storage.chain_store import ChainStore
from network.runtime.history import EpochHistory
from network.runtime.voter import Voter


class Witness:
    """Signs statements of expiry under the node's own key."""

    def __init__(self, chain: ChainStore, history: EpochHistory, voter: Voter) -> None:
        self._chain = chain
        self._history = history
        self._voter = voter

    def state_expired(self, transaction_id: bytes, expires_at_ms: int) -> ExpiryStatement:
        """Return the statement; raise `Refused` (51xx) where it may not be true or said here."""
        fate = self._chain.fate(transaction_id)
        if fate is not None:
            raise Refused(Code.REQUEST_MALFORMED, f"it stands in block {fate[0]}: ask its receipt")
        self._check_known(expires_at_ms)
        certificate = self._chain.last_certificate()
        header = None if certificate is None else self._chain.header(certificate.height)
        if certificate is None or header is None or header.time_ms < expires_at_ms:
            raise Refused(Code.NOT_SYNCED, "no certified block here is past its expiry yet")
        key = self._voter.voting_key
        names = self._history.validators(header.epoch)
        numbers = [n for n, (_, public) in enumerate(names) if key and public == key.public_key]
        if key is None or not numbers:
            raise Refused(Code.NOT_ORDERING, "this node does not vote: ask a validator's")
        signed = expiry_signing_input(header, transaction_id, expires_at_ms, numbers[0])
        return ExpiryStatement(
            transaction_id, expires_at_ms, header, certificate, numbers[0], key.sign(signed)
        )

    def _check_known(self, expires_at_ms: int) -> None:
        """Raise unless this node would know the transaction had it been executed in time.

        One that began at a snapshot knows the ids of the last MAX_TTL before it, no earlier ones.
        """
        base = self._chain.base()
        header = None if base is None else self._chain.header(base[0])
        if header is not None and expires_at_ms <= header.time_ms:
            raise Refused(Code.NOT_HELD, "it expired before the snapshot that this node began at")
