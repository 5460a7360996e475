"""The node's TLS identity while it runs: renewed certificates, members that come and go.

Every `LOOK_SECONDS` the names in the folder of keys are looked at; when they have changed, or the
membership has, the right leaf is chosen anew and the anchors are those of the state. Links that
stand are left alone, handshakes from then on use the new ones (rule 47). A certificate that ends
within `WARN_DAYS` is warned of once a day: without it no link is made any more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
import trio

from ledger.errors import CreditLedgerError
from network.leaves import Leaf, choose_leaf
from network.runtime.membership import Membership, MembershipWatch
from network.runtime.performer import describe
from network.tls import TlsEndpoint

LOOK_SECONDS = 5.0
WARN_DAYS = 30
_MS_A_DAY = 86_400_000

log = structlog.get_logger()


class Renewal:
    """Keeps one endpoint's certificate and anchors current."""

    def __init__(
        self,
        folder: Path,
        member: str,
        password: bytes | None,
        membership: MembershipWatch,
        clock_ms: Callable[[], int],
    ) -> None:
        """Make the endpoint; raise `LocalError` (1105) when no leaf can be used."""
        self._folder = folder
        self._member = member
        self._membership = membership
        self._clock_ms = clock_ms
        self._names = self._list()
        self._warned_ms = 0
        self.leaf = self._choose()
        anchors = membership.current.anchors()
        self.endpoint = TlsEndpoint(anchors, *self.leaf.files, password)
        membership.listen(self._on_membership)

    @property
    def expires_ms(self) -> int:
        """When the certificate in use ends, in ms since 1970."""
        return self.leaf.expires_ms

    def _list(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def _choose(self) -> Leaf:
        member = self._membership.current.members.get(self._member)
        return choose_leaf(self._folder, () if member is None else (member.certificate,))

    def _on_membership(self, _membership: Membership) -> None:
        self.reload()

    def reload(self) -> None:
        """Choose the leaf and take the anchors anew; what cannot be used is logged and left."""
        try:
            leaf = self._choose()
            self.endpoint.reload(self._membership.current.anchors(), leaf.files)
        except CreditLedgerError as error:
            log.error("the node's certificate cannot be renewed", **describe(error))
            return
        if leaf.certificate != self.leaf.certificate:
            log.info("certificate renewed", file=leaf.certificate.name, until=str(leaf.expires))
        self.leaf = leaf

    def look(self) -> None:
        """See whether files have come or gone, and whether the certificate ends soon."""
        names = self._list()
        if names != self._names:
            self._names = names
            self.reload()
        now_ms = self._clock_ms()
        left_ms = self.expires_ms - now_ms
        if left_ms < WARN_DAYS * _MS_A_DAY and now_ms - self._warned_ms >= _MS_A_DAY:
            self._warned_ms = now_ms
            log.warning("the node's certificate ends soon", days=left_ms // _MS_A_DAY)

    async def run(self) -> None:
        """Look from time to time, until cancelled."""
        while True:
            self.look()
            await trio.sleep(LOOK_SECONDS)
