"""Renewing a node's TLS certificate: files are added, the right one is used (rule 47)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ledger.errors import Code, LocalError
from network.certificates import NodeIdentity, make_member_certificate
from network.leaves import Leaf, add_leaf, choose_leaf
from network.listener import Listener
from network.peers import PeerAddress, PeerNetwork
from network.tls import SecureStream, TlsEndpoint
from tests.network.support import CHAIN, Consortium, Wire, run

NEW_SEED = b"the next key of tax".ljust(32, b".")


def add(consortium: Consortium, folder: Path, *, days: int = 30, seed: bytes | None = None) -> Path:
    """Add a leaf for the node of tax, issued by its key or another."""
    member_seed = seed or consortium.seeds["tax"]
    return add_leaf(
        folder,
        member_certificate=make_member_certificate(member_seed, "tax", consortium.now),
        member_seed=member_seed,
        identity=NodeIdentity("tax"),
        now=consortium.now,
        days=days,
    )


def choose(consortium: Consortium, folder: Path) -> Leaf:
    return choose_leaf(folder, consortium.anchors["tax"])


def test_the_leaf_that_is_valid_longest_is_used(consortium: Consortium, tmp_path: Path) -> None:
    first, second, third = (add(consortium, tmp_path, days=days) for days in (30, 90, 60))
    assert len({first, second, third}) == 3
    chosen = choose(consortium, tmp_path)
    assert chosen.certificate == second
    assert chosen.expires == consortium.now.replace(microsecond=0) + timedelta(days=90)


def test_rule_47_a_leaf_of_the_next_member_key_waits_for_it(
    consortium: Consortium, tmp_path: Path
) -> None:
    old = add(consortium, tmp_path, days=30)
    new = add(consortium, tmp_path, days=300, seed=NEW_SEED)
    assert choose(consortium, tmp_path).certificate == old
    next_certificate = make_member_certificate(NEW_SEED, "tax", consortium.now)
    assert choose_leaf(tmp_path, [next_certificate]).certificate == new


def test_leaf_without_its_key_is_passed_over(consortium: Consortium, tmp_path: Path) -> None:
    whole = add(consortium, tmp_path)
    add(consortium, tmp_path, days=300).with_suffix(".key").unlink()
    assert choose(consortium, tmp_path).certificate == whole
    whole.with_suffix(".key").unlink()
    with pytest.raises(LocalError, match=r"holds no tls\.crt with its tls\.key") as refusal:
        choose(consortium, tmp_path)
    assert refusal.value.code == Code.KEY_FILE


def test_reload_with_unusable_files_leaves_the_endpoint_as_it_was(
    consortium: Consortium, tmp_path: Path
) -> None:
    endpoint = TlsEndpoint(consortium.anchors, *choose_files(consortium, tmp_path))
    broken = tmp_path / "tls-broken.crt"
    broken.write_text("no certificate")
    with pytest.raises(LocalError, match="cannot use"):
        endpoint.reload({}, (broken, broken))
    assert endpoint.members == frozenset(consortium.members)
    endpoint.reload()


def choose_files(consortium: Consortium, folder: Path) -> tuple[Path, Path]:
    add(consortium, folder)
    return choose(consortium, folder).files


ADDRESSES = (PeerAddress(0, "tax", "10.0.0.1", 7000), PeerAddress(1, "works", "10.0.0.1", 7001))


def network_of(endpoint: TlsEndpoint, own: int, wire: Wire) -> PeerNetwork:
    """Return one end of a link that dials over `wire`."""
    network = PeerNetwork(
        chain_id=CHAIN,
        own=ADDRESSES[own],
        peers=ADDRESSES,
        tls=endpoint,
        head=lambda: 0,
        jitter=lambda: 1.0,
        nonce=lambda: bytes(16),
        dial=wire.dial,
    )
    wire.listening[ADDRESSES[own].port] = Listener(endpoint, network.serve, _no_clients).take
    return network


async def _no_clients(_secure: SecureStream) -> None:
    raise AssertionError("no client connects here")


def play(scenario: Callable[[trio.Nursery, MockClock], Awaitable[None]]) -> None:
    clock = MockClock()

    async def whole() -> None:
        async with trio.open_nursery() as nursery:
            await scenario(nursery, clock)
            nursery.cancel_scope.cancel()

    run(whole, clock)


def test_rule_47_member_key_and_leaf_change_without_an_outage(
    consortium: Consortium, tmp_path: Path
) -> None:
    """Links stay through both reloads; the next handshake shows the new leaf and is taken."""

    async def scenario(nursery: trio.Nursery, clock: MockClock) -> None:
        wire = Wire(nursery)
        tax = TlsEndpoint(consortium.anchors, *choose_files(consortium, tmp_path))
        works = TlsEndpoint(consortium.anchors, *consortium.files(NodeIdentity("works")))
        networks = [network_of(tax, 0, wire), network_of(works, 1, wire)]
        for network in networks:
            await nursery.start(network.run)
        await wait_all_tasks_blocked()
        assert networks[0].connected == {1}

        add(consortium, tmp_path, days=300, seed=NEW_SEED)
        certificate = make_member_certificate(NEW_SEED, "tax", consortium.now)
        anchors = {**consortium.anchors, "tax": (certificate,)}
        works.reload(anchors)
        tax.reload(anchors, choose_leaf(tmp_path, [certificate]).files)
        await wait_all_tasks_blocked()
        assert networks[1].counters[0].sessions == 1
        assert networks[1].connected == {0}

        await wire.cut()
        await wait_all_tasks_blocked()
        clock.jump(2)
        await wait_all_tasks_blocked()
        assert networks[1].counters[0].sessions == 2
        assert networks[1].connected == {0}

    play(scenario)
