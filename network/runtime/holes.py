"""Which certificates a node lacks of blocks that it has, and how it gets them from others.

A certificate is durable only with the next synced write (it can be asked for again), so a crash
takes those of the last blocks. The votes of a window come again with STATUS, but only while some
member still holds them: after a crash of all, or once the others have gone on by more than a
window, no vote is sent any more, and the node could give no receipt out of these blocks for ever.
So it looks for such holes below its last certificate and asks the others for them.
"""

from __future__ import annotations

from ledger.chain.certificate import Certificate
from ledger.storage.chain_store import ChainStore

LOOK_BACK = 4096
AT_ONCE = 16


class CertificateHoles:
    """The holes of one chain; every height is looked at once, and each hole until it is filled."""

    def __init__(self, chain: ChainStore) -> None:
        self._chain = chain
        self._looked_to: int | None = None
        self._lacking: set[int] = set()

    def find(self) -> list[int]:
        """Return heights of own blocks below the last certificate that lack theirs; blocking.

        At most `AT_ONCE`, the newest first; at the first call the last `LOOK_BACK` are looked at.
        """
        last = self._chain.last_certificate()
        if last is None:
            return []
        looked_to = self._looked_to
        first = max(1, last.height - LOOK_BACK) if looked_to is None else looked_to + 1
        self._lacking.update(range(first, last.height))
        self._looked_to = max(looked_to or 0, last.height - 1)
        self._lacking = {height for height in self._lacking if self._is_hole(height)}
        return sorted(self._lacking, reverse=True)[:AT_ONCE]

    def _is_hole(self, height: int) -> bool:
        return self._chain.certificate(height) is None and self._chain.header(height) is not None

    def is_of_own_block(self, certificate: Certificate) -> bool:
        """Tell whether a certificate is for the block that this node has at its height."""
        own = self._chain.header(certificate.height)
        return own is not None and own.hash() == certificate.block_hash
