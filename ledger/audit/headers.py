"""Headers of a replay: certified by the members of their epoch, following one another, anchored.

What comes back from `HeaderReader.read` is a header that a certificate proves, its own or a later
one's of the same epoch, that names the block before it, and that no anchor speaks against. Nothing
else of the block has been looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.audit import diagnosis
from ledger.audit.epochs import ReplayedEpochs
from ledger.audit.report import AuditReport, Finding, FoundError, fault
from ledger.chain.block import BlockError, verify_header_follows
from ledger.chain.certificate import decode_certificate, verify_certificate
from ledger.chain.header import Header, decode_header
from ledger.chain.receipt import Receipt, anchor_of
from ledger.errors import Code, Refused, StorageError
from ledger.membership.genesis import Genesis
from ledger.storage.chain_store import CERTIFICATES, HEADERS, ChainStore, height_key
from ledger.storage.store import Reader


@dataclass(frozen=True, slots=True)
class Anchors:
    """What is trusted: genesis, and perhaps a block of the same chain by its receipt."""

    genesis: Genesis
    trusted: Receipt | None = None

    def __post_init__(self) -> None:
        if self.trusted is None:
            return
        anchor_of(self.trusted)
        of_chain, chain_id = self.trusted.header.chain_id, self.genesis.chain_id
        if of_chain != chain_id:
            raise Refused(
                Code.RECEIPT_INVALID,
                f"the trusted receipt is of chain {of_chain.hex()}, genesis is {chain_id.hex()}",
            )

    def check(self, header: Header) -> None:
        """Raise `FoundError` when this is another block than the trusted one of its height."""
        if self.trusted is None or self.trusted.header.height != header.height:
            return
        found, want = header.hash(), self.trusted.header.hash()
        if found != want:
            reason = f"this chain has {found.hex()}, trusted is {want.hex()}: it is another history"
            raise fault("trusted block", reason, header.height)


class HeaderReader:
    """Reads the headers of one store in order; `epochs` is kept up by the replay."""

    def __init__(
        self, stored: Reader, anchors: Anchors, epochs: ReplayedEpochs, report: AuditReport
    ) -> None:
        self._stored = stored
        self._chain = ChainStore(stored)
        self._anchors = anchors
        self._epochs = epochs
        self._report = report
        self._proven: dict[int, bytes] = {}

    def read(self, height: int, parent: Header) -> Header:
        """Return the header, certified by its certificate and following its parent."""
        self._check_handed_over(height)
        data = self._stored.get(height_key(HEADERS, height))
        if data is None:
            raise fault("header", "is missing", height)
        proof = self._stored.get(height_key(CERTIFICATES, height))
        try:
            header = decode_header(data)
        except Refused as error:
            raise fault("header", f"does not decode: {error.message}", height) from None
        if proof is not None:
            self._check_certificate(proof, header, height)
        elif height <= self._report.certified:
            self._check_covered(header, height)
        try:
            verify_header_follows(header, parent)
        except BlockError as error:
            raise fault(error.part, error.reason, height) from None
        self._anchors.check(header)
        return header

    def _check_handed_over(self, height: int) -> None:
        """Check that the epoch before certified its last block itself, where one begins here.

        The members of this epoch come from blocks that only those before them can vouch for.
        """
        span = self._epochs.at(height)
        is_first = span.epoch > 0 and span.first_height == height
        if not is_first or height > self._report.certified:
            return
        if self._stored.get(height_key(CERTIFICATES, height - 1)) is None:
            reason = (
                f"is missing: only the members of epoch {span.epoch - 1} can vouch for the next"
            )
            raise fault("certificate", reason, height - 1)

    def _check_certificate(self, proof: bytes, header: Header, height: int) -> None:
        try:
            certificate = decode_certificate(proof)
        except Refused as error:
            raise fault("certificate", error.message, height) from None
        span = self._epochs.at(height)
        finding = diagnosis.name_header_or_certificate(
            header, certificate, self._anchors.genesis.chain_id, span.keys
        )
        is_in_place = header.height == height and certificate.epoch == header.epoch == span.epoch
        if finding is None and not is_in_place:
            finding = Finding("header", f"is of block {header.height}, epoch {header.epoch}")
        if finding is not None:
            place = (finding.position, finding.transaction_id)
            raise FoundError(Finding(finding.part, finding.reason, height, *place))
        self._report.counts.certificates += 1

    def _check_covered(self, header: Header, height: int) -> None:
        """Check a header without a certificate: the next certified one proves it by its parents."""
        if height not in self._proven:
            self._proven = self._prove_below_next(height)
        want = self._proven.get(height)
        if want is not None and header.hash() != want:
            reason = f"hashes to {header.hash().hex()}, the next header names {want.hex()}"
            raise fault("header", reason, height)

    def _prove_below_next(self, height: int) -> dict[int, bytes]:
        """Return block hashes from `height` up to the next certificate, as far as they are proven.

        Where that certificate or a header between is itself altered nothing is proven here, and the
        fault is found in its turn.
        """
        low, high = height_key(CERTIFICATES, height), height_key(CERTIFICATES, 2**64 - 1)
        key, proof = next(iter(self._stored.scan(low, high)))
        last = int.from_bytes(key[len(CERTIFICATES) :], "big")
        proven: dict[int, bytes] = {}
        try:
            certificate = decode_certificate(proof)
            keys = self._epochs.at(height).keys
            verify_certificate(certificate, self._anchors.genesis.chain_id, keys)
            want = certificate.block_hash
            for below in range(last, height - 1, -1):
                proven[below] = want
                header = self._chain.header(below)
                if header is None or header.hash() != want:
                    break
                want = header.parent_hash
        except (Refused, StorageError):
            return proven
        return proven
