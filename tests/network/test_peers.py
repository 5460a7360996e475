"""Links between nodes: greeting, one session each, reconnection, fairness (F66, F67, F69, F71)."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from ledger.errors import Code, LocalError
from network.frames import PEER_LINK
from network.peers import PeerAddress, PeerLimits
from network.queues import QueueLimits
from network.wire import (
    Bodies,
    Hello,
    PeerFrame,
    Ping,
    Pong,
    Votes,
    decode_peer_frame,
    encode_peer_frame,
)
from tests.network.peer_nodes import ADDRESSES, Nodes, dial_by_hand, play
from tests.network.support import CHAIN, Consortium


def test_every_pair_has_one_session_and_frames_arrive_in_order(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        for own in (3, 2, 1, 0):
            await nodes.start(own)
        await nodes.settle()
        for own, network in nodes.networks.items():
            assert network.connected == {0, 1, 2, 3} - {own}
        assert len(nodes.wire.links) == 6
        frames = [Votes(b"%d" % number) for number in range(500)]
        for frame in frames:
            assert nodes.networks[0].broadcast(frame) == 3
        await nodes.settle()
        for own in (1, 2, 3):
            assert await nodes.networks[own].receive(1000) == [(0, frame) for frame in frames]
        assert nodes.networks[1].counters[0].frames_received == 500

    play(consortium, scenario)


def test_votes_overtake_bodies_on_a_link(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second, first = await nodes.start(1), await nodes.start(0)
        await nodes.settle()
        bodies, vote = Bodies((b"x" * 200_000,)), Votes(b"vote")
        for frame in (bodies, bodies, vote):
            assert first.send(1, frame)
        await nodes.settle()
        assert [frame for _, frame in await second.receive()] == [vote, bodies, bodies]

    play(consortium, scenario)


def test_frame_to_a_member_that_is_away_is_not_kept(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        first = await nodes.start(0)
        await nodes.settle()
        assert not first.send(1, Votes(b"vote"))
        assert first.broadcast(Votes(b"vote")) == 0

    play(consortium, scenario)


def test_delay_between_dials_doubles_up_to_its_cap(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        await nodes.start(2)
        for _ in range(400):
            await nodes.settle()
            clock.jump(0.025)
        dialled = nodes.wire.dialled
        gaps = [round(b - a, 3) for a, b in pairwise(dialled)]
        assert gaps == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], abs=0.051)

    play(consortium, scenario)


def test_cut_link_is_dialled_again(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second, first = await nodes.start(1), await nodes.start(0)
        await nodes.settle()
        await nodes.wire.cut()
        await nodes.settle()
        assert first.connected == second.connected == frozenset()
        clock.jump(1)
        await nodes.settle()
        assert first.connected == {1}
        assert second.connected == {0}
        assert [event for event in nodes.events if event[0] == 0] == [
            (0, "connect", 1),
            (0, "disconnect", 1),
            (0, "connect", 1),
        ]
        assert first.send(1, Votes(b"again"))
        await nodes.settle()
        assert await second.receive() == [(0, Votes(b"again"))]

    play(consortium, scenario)


def test_node_that_comes_back_is_found(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        first = await nodes.start(0)
        await nodes.start(1)
        await nodes.settle()
        await nodes.stop(1)
        await nodes.wire.cut()
        for _ in range(10):
            clock.jump(1)
            await nodes.settle()
        assert first.connected == frozenset()
        await nodes.start(1)
        clock.jump(2)
        await nodes.settle()
        assert first.connected == {1}

    play(consortium, scenario)


def test_f66_node_of_another_chain_is_refused_by_both(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second, first = await nodes.start(1, chain_id=bytes(32)), await nodes.start(0)
        await nodes.settle()
        assert first.connected == second.connected == frozenset()
        for network, peer in ((first, 1), (second, 0)):
            assert network.counters[peer].last_error.startswith(
                f"E{int(Code.PEER_WRONG_CHAIN)} chain "
            )

    play(consortium, scenario)


def test_newer_session_replaces_the_older(consortium: Consortium) -> None:
    """F71: after a change of address the old session is half-open."""

    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second = await nodes.start(1)
        hello = Hello(CHAIN, "tax", bytes(16), 1)
        old = await dial_by_hand(nodes, "tax", 1, hello=hello)
        await nodes.settle()
        new = await dial_by_hand(nodes, "tax", 1, hello=hello)
        await nodes.settle()
        assert second.connected == {0}
        assert second.counters[0].sessions == 2
        assert len(await old.receive()) == 1  # its hello
        assert await old.receive() == []
        second.send(0, Votes(b"to the new"))
        await nodes.settle()
        got = [decode_peer_frame(data) for _ in range(2) for data in await new.receive()]
        assert got[1:] == [Votes(b"to the new")]
        assert [event[1] for event in nodes.events] == ["connect", "disconnect", "connect"]

    play(consortium, scenario)


BREACHES: list[tuple[PeerFrame, Code]] = [
    (Hello(bytes(32), "tax", bytes(16), 1), Code.PEER_WRONG_CHAIN),
    (Hello(CHAIN, "treasury", bytes(16), 1), Code.PEER_PROTOCOL),
    (Votes(b"before any hello"), Code.PEER_PROTOCOL),
]


@pytest.mark.parametrize(("frame", "code"), BREACHES)
def test_wrong_greeting_keeps_the_peer_away_for_a_while(
    consortium: Consortium, frame: PeerFrame, code: Code
) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second = await nodes.start(1)
        link = await dial_by_hand(nodes, "tax", 1, hello=frame)
        await nodes.settle()
        assert len(await link.receive()) == 1
        assert await link.receive() == []
        assert second.counters[0].last_error.startswith(f"E{int(code)} ")
        good = Hello(CHAIN, "tax", bytes(16), 1)
        await dial_by_hand(nodes, "tax", 1, hello=good)
        await nodes.settle()
        assert second.connected == frozenset()
        clock.jump(3)
        await dial_by_hand(nodes, "tax", 1, hello=good)
        await nodes.settle()
        assert second.connected == {0}

    play(consortium, scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x92\x01\x01",
        encode_peer_frame(Hello(CHAIN, "tax", bytes(16), 1)),
        b"\x91\xcc\x01",
    ],
)
def test_bad_frame_ends_the_session(consortium: Consortium, data: bytes) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second = await nodes.start(1)
        link = await dial_by_hand(nodes, "tax", 1, hello=Hello(CHAIN, "tax", bytes(16), 1))
        await nodes.settle()
        assert second.connected == {0}
        await link.send([encode_peer_frame(Votes(b"good")), data])
        await nodes.settle()
        assert second.connected == frozenset()
        assert second.counters[0].failures == 1

    play(consortium, scenario)


def test_member_that_is_to_be_dialled_may_dial_too(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second = await nodes.start(1)
        link = await dial_by_hand(
            nodes, "treasury", 1, hello=Hello(CHAIN, "treasury", bytes(16), 1)
        )
        await nodes.settle()
        assert second.connected == {2}
        await link.aclose()
        await nodes.settle()
        assert second.connected == frozenset()

    play(consortium, scenario)


def test_charged_peer_loses_its_session(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second, first = await nodes.start(1), await nodes.start(0)
        await nodes.settle()
        second.charge(0, Code.SIGNATURE_INVALID, "100 bad signatures")
        await nodes.settle()
        assert first.connected == second.connected == frozenset()
        clock.jump(0.1)
        await nodes.settle()
        assert second.connected == frozenset()
        for _ in range(4):
            clock.jump(2)
            await nodes.settle()
        assert second.connected == {0}

    play(consortium, scenario)


def test_quiet_link_is_kept_alive_and_measured(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second, first = await nodes.start(1), await nodes.start(0)
        for _ in range(50):
            await nodes.settle()
            clock.jump(2)
        await nodes.settle()
        assert first.counters[1].sessions == second.counters[0].sessions == 1
        assert first.counters[1].round_trip_ms == 0
        assert first.connected == {1}

    play(consortium, scenario)


def test_dead_peer_is_noticed(consortium: Consortium) -> None:
    """F63: an end that says hello and then nothing."""

    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second = await nodes.start(1)
        await dial_by_hand(nodes, "tax", 1, hello=Hello(CHAIN, "tax", bytes(16), 1))
        await nodes.settle()
        assert second.connected == {0}
        clock.jump(16)
        await nodes.settle()
        assert second.connected == frozenset()
        assert second.counters[0].last_error == "E5008 nothing was received within 15 s"

    play(consortium, scenario)


def test_silence_instead_of_hello_is_cut_off(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second = await nodes.start(1)
        await dial_by_hand(nodes, "tax", 1, hello=None)
        await nodes.settle()
        clock.jump(6)
        await nodes.settle()
        assert second.counters[0].last_error == "E5008 no hello within the deadline"

    play(consortium, scenario)


def test_flood_of_one_peer_leaves_the_others_their_turn(consortium: Consortium) -> None:
    """F69: the flooder fills its own queue and is read no further; others pass at once."""

    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        limits = PeerLimits(queues=QueueLimits(inbox_frames=100))
        victim = await nodes.start(3, limits=limits)
        flooder = await nodes.start(0)
        honest = await nodes.start(1)
        await nodes.settle()
        for number in range(20_000):
            flooder.send(3, Votes(b"flood %d" % number))
        await nodes.settle()
        assert victim.counters[0].frames_received < 20_000
        honest.send(3, Votes(b"honest"))
        await nodes.settle()
        assert (1, Votes(b"honest")) in await victim.receive(2)
        got = 1
        while got < 20_000:
            got += len(await victim.receive(1000))
            await nodes.settle()
        assert victim.counters[0].frames_received == 20_000  # nothing of it was lost

    play(consortium, scenario)


def test_every_ping_is_answered_and_none_is_seen_outside(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        second = await nodes.start(1)
        link = await dial_by_hand(nodes, "tax", 1, hello=Hello(CHAIN, "tax", bytes(16), 1))
        await nodes.settle()
        for number in range(50):
            await link.send([encode_peer_frame(Ping(number))] * 100)
            await nodes.settle()
        got: list[PeerFrame] = []
        while len(got) < 5001:
            got += [decode_peer_frame(data) for data in await link.receive()]
        assert got[1:] == [Pong(number) for number in range(50) for _ in range(100)]
        with trio.move_on_after(0) as scope:
            await second.receive()
        assert scope.cancelled_caught

    play(consortium, scenario)


def test_frame_above_the_cap_is_our_own_error(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        first = await nodes.start(0)
        with pytest.raises(LocalError, match="above the cap"):
            first.send(1, Bodies((b"x" * 1_000_000,) * 9))

    play(consortium, scenario)


def test_wrong_member_at_an_address_is_never_spoken_to(
    consortium: Consortium,
) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        await nodes.start(2)
        nodes.wire.listening[ADDRESSES[1].port] = nodes.wire.listening[ADDRESSES[2].port]
        first = await nodes.start(0)
        await nodes.settle()
        assert first.connected == {2}
        assert (
            first.counters[1].last_error == "E5006 certificate of treasury, want that of transport"
        )

    play(consortium, scenario)


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(LocalError, match="ping_s"):
        PeerLimits(ping_s=PEER_LINK.idle_s)
    with pytest.raises(LocalError, match="backoff_s"):
        PeerLimits(backoff_s=3.0, backoff_s_max=2.0)


def moved(member: str, index: int, port: int | None = None) -> PeerAddress:
    """Return a member's address under another number, perhaps at another port."""
    old = next(address for address in ADDRESSES if address.member == member)
    return PeerAddress(index, member, old.host, old.port if port is None else port)


def test_f82_links_of_members_that_stay_live_through_a_change_of_numbers(
    consortium: Consortium,
) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        for own in (3, 2, 1, 0):
            await nodes.start(own)
        await nodes.settle()
        nodes.events.clear()
        # transport (1) goes, the members behind it move up.
        left = (moved("tax", 0), moved("treasury", 1), moved("works", 2))
        for own, member in ((0, "tax"), (2, "treasury"), (3, "works")):
            own_address = next(item for item in left if item.member == member)
            nodes.networks[own].set_peers(own_address, left)
        await nodes.settle()
        tax = nodes.networks[0]
        assert tax.connected == {1, 2}
        assert tax.member(1) == "treasury"
        assert tax.index("transport") is None
        assert [event for event in nodes.events if event[0] == 0] == [(0, "disconnect", 1)]
        assert tax.send(1, Votes(b"to treasury"))
        await nodes.settle()
        assert await nodes.networks[2].receive() == [(0, Votes(b"to treasury"))]
        assert tax.counters[1].sessions == 1
        assert not tax.send(3, Votes(b"to nobody"))

    play(consortium, scenario)


def test_f83_frames_and_sessions_of_a_removed_member_end(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        second, first = await nodes.start(1), await nodes.start(0)
        await nodes.settle()
        second.send(0, Votes(b"from a member"))
        first.set_peers(ADDRESSES[0], (ADDRESSES[0], moved("treasury", 1)))
        await nodes.settle()
        assert first.connected == frozenset()
        assert len(first._inbox) == 0
        # It listens to tax no more, and what tax hears of it is refused.
        third = await nodes.start(2)
        third.set_peers(moved("treasury", 1), (ADDRESSES[0], moved("treasury", 1)))
        link = await dial_by_hand(
            nodes, "transport", 2, hello=Hello(CHAIN, "transport", bytes(16), 1)
        )
        for _ in range(3):
            clock.jump(2)
            await nodes.settle()
        assert third.connected == {0}
        assert link.bytes_received == 0

    play(consortium, scenario)


def test_added_member_is_dialled_and_a_moved_one_at_its_new_address(
    consortium: Consortium,
) -> None:
    async def scenario(nodes: Nodes, clock: MockClock) -> None:
        first = await nodes.start(0)
        first.set_peers(ADDRESSES[0], ADDRESSES[:2])
        second = await nodes.start(1)
        third = await nodes.start(2)
        clock.jump(2)
        await nodes.settle()
        assert first.connected == {1}
        first.set_peers(ADDRESSES[0], ADDRESSES[:3])
        await nodes.settle()
        assert first.connected == {1, 2}
        # The new address counts from the next dial on; the link that stands is not cut.
        nodes.wire.listening[9999] = nodes.wire.listening.pop(ADDRESSES[2].port)
        first.set_peers(ADDRESSES[0], (*ADDRESSES[:2], moved("treasury", 2, 9999)))
        await nodes.settle()
        assert first.connected == {1, 2}
        await nodes.wire.cut()
        for _ in range(4):
            clock.jump(2)
            await nodes.settle()
        assert first.connected == {1, 2}
        assert third.counters[0].sessions == 2
        assert second.counters[0].sessions == 2

    play(consortium, scenario)


def test_broadcast_below_a_number_leaves_observers_out(consortium: Consortium) -> None:
    async def scenario(nodes: Nodes, _clock: MockClock) -> None:
        third, second = await nodes.start(2), await nodes.start(1)
        first = await nodes.start(0)
        await nodes.settle()
        assert second.connected == {0, 2}
        assert first.broadcast(Votes(b"for validators"), below=2) == 1
        assert first.broadcast(Votes(b"for all")) == 2
        await nodes.settle()
        assert await third.receive() == [(0, Votes(b"for all"))]

    play(consortium, scenario)
