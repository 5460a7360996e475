"""The certificate of a node that runs: renewed files are found, an end is warned of (rule 47)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from network.certificates import NodeIdentity, make_member_certificate
from network.leaves import add_leaf
from network.runtime.renewal import Renewal
from tests.network.support import Consortium

DAY_MS = 86_400_000
NEXT_SEED = b"the next key of tax".ljust(32, b".")


@dataclass
class Watch:
    """A membership that the test changes."""

    consortium: Consortium
    listeners: list[Callable[[Any], None]] = field(default_factory=list)

    @property
    def current(self) -> Any:
        certificates = self.consortium.certificates
        members = {name: SimpleNamespace(certificate=der) for name, der in certificates.items()}
        anchors = {name: (der,) for name, der in certificates.items()}
        return SimpleNamespace(members=members, anchors=lambda: anchors)

    def listen(self, listener: Callable[[Any], None]) -> None:
        self.listeners.append(listener)

    def rotate(self, seed: bytes) -> None:
        """Put another key of tax in force."""
        now = self.consortium.now
        self.consortium.certificates["tax"] = make_member_certificate(seed, "tax", now)
        for listener in self.listeners:
            listener(self.current)


@pytest.fixture
def own(tmp_path: Path) -> Consortium:
    """A consortium that this test may change."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    return Consortium(folder)


def add(consortium: Consortium, folder: Path, days: int, seed: bytes | None = None) -> Path:
    member_seed = seed or consortium.seeds["tax"]
    return add_leaf(
        folder,
        member_certificate=make_member_certificate(member_seed, "tax", consortium.now),
        member_seed=member_seed,
        identity=NodeIdentity("tax"),
        now=consortium.now,
        days=days,
    )


def renewal_of(watch: Watch, folder: Path, clock: Callable[[], int]) -> Renewal:
    return Renewal(folder, "tax", None, watch, clock)  # type: ignore[arg-type]


def test_rule_47_a_renewed_certificate_is_taken_up(own: Consortium, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    first = add(own, keys, 30)
    renewal = renewal_of(Watch(own), keys, lambda: 0)
    assert renewal.leaf.certificate == first
    second = add(own, keys, 300)
    assert renewal.leaf.certificate == first
    renewal.look()
    assert renewal.leaf.certificate == second
    assert renewal.expires_ms == renewal.leaf.expires_ms


def test_rule_47_a_leaf_of_the_next_key_comes_into_use_with_the_key(
    own: Consortium, tmp_path: Path
) -> None:
    keys, watch = tmp_path / "keys", Watch(own)
    first, second = add(own, keys, 300), add(own, keys, 30, NEXT_SEED)
    renewal = renewal_of(watch, keys, lambda: 0)
    renewal.look()
    assert renewal.leaf.certificate == first
    watch.rotate(NEXT_SEED)
    assert renewal.leaf.certificate == second


def test_what_cannot_be_used_is_logged_and_the_old_one_stays(
    own: Consortium, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    first = add(own, keys, 30)
    renewal = renewal_of(Watch(own), keys, lambda: 0)
    (keys / "tls-broken.crt").write_text("nothing")
    (keys / "tls-broken.key").write_text("nothing")
    with capture_logs() as logs:
        renewal.look()
    assert renewal.leaf.certificate == first
    assert "the node's certificate cannot be renewed" in [entry["event"] for entry in logs]


def test_an_end_that_is_near_is_warned_of_once_a_day(own: Consortium, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    add(own, keys, 65)
    # Half a day from where the count of days would change: certificates are made at real moments.
    now = [int(own.now.timestamp() * 1000) + DAY_MS // 2]
    renewal = renewal_of(Watch(own), keys, lambda: now[0])
    warned = []
    with capture_logs() as logs:
        for _ in range(5):
            renewal.look()
            renewal.look()
            warned.append(sum(entry["event"].endswith("ends soon") for entry in logs))
            now[0] += 10 * DAY_MS
        renewal.look()
    assert warned == [0, 0, 0, 0, 1]
    assert [entry["days"] for entry in logs if "days" in entry] == [24, 14]
