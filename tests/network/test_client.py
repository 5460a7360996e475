"""The client SDK against small honest and dishonest nodes (rules 37 and 38, F74, F75)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from ledger.chain.receipt import Receipt
from ledger.errors import Code, CreditLedgerError, LocalError, Refused, RemoteError
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from ledger.transactions.envelope import decode_transaction
from network.certificates import ClientIdentity, save_key
from network.client import NodeError, Profile, SyncClient, open_client
from network.gateway import Gateway
from network.listener import Listener
from network.methods import FateStatus, WatchStream
from network.profile import CONFIG_FILE, NodeAddress, parse_address, write_profile
from network.wire import Busy
from tests.network.client_nodes import (
    CLOCK_MS,
    NODES,
    POLICY,
    FakeNode,
    Ledger,
    World,
    play,
)
from tests.network.support import Consortium


async def _busy() -> None:
    raise Busy(400, "full")


async def _stay_silent() -> None:
    await trio.Event().wait()


def test_transaction_is_signed_submitted_and_proved(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        receipt = await world.client.submit_kind("asset.confirm", {"asset": "A1"})
        ((member, data),) = world.ledger.submissions
        transaction = decode_transaction(data)
        assert member == "tax"
        assert receipt.transaction_id == transaction.id
        assert (transaction.sender, transaction.kind) == ("tax", "asset.confirm")
        assert 0 <= transaction.expires_at_ms - CLOCK_MS - POLICY.ttl_ms < 1000
        other = await world.client.sign("asset.confirm", {"asset": "A1"})
        assert other.id != transaction.id  # a nonce of its own
        assert world.nodes["tax"].asked.count("head") == 1  # the clock is reckoned on

    play(consortium, scenario)


def test_every_method_reads_its_answer(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        client = world.client
        assert (await client.head()).height == 7
        assert await client.status() == {"node": "tax"}
        assert await client.query("x", {"a": 1}) == {"node": "tax", "name": "x", "params": {"a": 1}}
        assert await client.watch(WatchStream.BLOCKS, 5) == (("blocks",), 6)
        transactions = [await client.sign("k", {"n": n}) for n in range(3)]
        accepted = await client.submit_many(transactions)
        assert [item.code for item in accepted] == [0, Code.BUSY, Code.BUSY]
        assert accepted[0].id == transactions[0].id
        await client.submit(transactions[1])
        fates = await client.fate([item.id for item in transactions])
        assert [fate.status for fate in fates] == ["unknown", "committed", "unknown"]

    play(consortium, scenario)


def test_busy_is_waited_out(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        world.nodes["tax"].moods = [_busy, _busy, _busy]
        start = trio.current_time()
        await world.client.submit(await world.client.sign("k", {}))
        assert trio.current_time() - start == pytest.approx(1.2)
        assert [member for member, _ in world.ledger.submissions] == ["tax"]

    play(consortium, scenario)


def test_silent_node_makes_the_same_bytes_go_to_a_weak_quorum(consortium: Consortium) -> None:
    """Rule 37; W is 2 of four."""

    async def scenario(world: World) -> None:
        world.nodes["tax"].moods = [_stay_silent]
        transaction = await world.client.sign("k", {})
        await world.client.submit(transaction)
        assert {member for member, _ in world.ledger.submissions} <= {"transport", "treasury"}
        assert {data for _, data in world.ledger.submissions} == {transaction.encoded()}

    play(consortium, scenario)


def test_node_that_is_down_is_gone_round(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        del world.wire.listening[NODES[0].port]
        world.nodes["transport"].moods = [_stay_silent]  # and one more lies low
        receipt = await world.client.submit_kind("k", {})
        assert receipt.result == (0, None)
        assert "treasury" in {member for member, _ in world.ledger.submissions}

    play(consortium, scenario)


def test_all_nodes_down_is_one_error(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        transaction = await world.client.sign("k", {})
        await world.wire.cut()
        world.wire.listening.clear()
        with pytest.raises(RemoteError, match=r"cannot connect to 10\.0\.0\.1:700") as failure:
            await world.client.submit(transaction)
        assert failure.value.code == Code.CONNECT_FAILED

    play(consortium, scenario)


@pytest.mark.parametrize(("down_s", "is_lost"), [(40, False), (90, True)])
def test_what_was_taken_is_waited_for_though_all_nodes_go_down(
    consortium: Consortium, down_s: int, is_lost: bool
) -> None:
    """All are killed after one took it: they come back, within the time that the client gives."""

    async def scenario(world: World) -> None:
        start, ports = trio.current_time(), dict(world.wire.listening)

        async def go_down() -> None:
            world.wire.listening.clear()
            await world.wire.cut()

        async def come_back() -> None:
            with trio.move_on_after(down_s):
                await _stay_silent()
            world.wire.listening.update(ports)

        world.nodes["tax"].moods = [trio.lowlevel.checkpoint, go_down]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_back)
            if is_lost:
                with pytest.raises(RemoteError) as failure:
                    await world.client.submit_kind("k", {})
                assert failure.value.code in (Code.CONNECT_FAILED, Code.CONNECTION_LOST)
                assert trio.current_time() - start == pytest.approx(60, abs=1)
            else:
                assert (await world.client.submit_kind("k", {})).result == (0, None)
                assert trio.current_time() - start == pytest.approx(40, abs=1)
        assert len({data for _, data in world.ledger.submissions}) == 1

    play(consortium, scenario)


def test_refusal_is_final_and_asks_nobody_else(consortium: Consortium) -> None:
    async def refuse() -> None:
        raise Refused(Code.TX_EXPIRED_AT_DOOR, "transaction has expired")

    async def scenario(world: World) -> None:
        world.nodes["tax"].moods = [refuse]
        with pytest.raises(NodeError, match="has expired") as failure:
            await world.client.submit(await world.client.sign("k", {}))
        assert failure.value.code == Code.TX_EXPIRED_AT_DOOR
        assert world.ledger.submissions == []

    play(consortium, scenario)


def test_idle_link_that_died_is_made_anew(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        await world.client.head()
        await world.wire.cut()
        assert (await world.client.status())["node"] == "tax"

    play(consortium, scenario)


def test_f75_reply_lost_after_submission_executes_once(consortium: Consortium) -> None:
    """F75: the node took it, then the link broke."""

    async def scenario(world: World) -> None:
        async def cut() -> None:
            await world.wire.cut()

        transaction = await world.client.sign("k", {})
        world.nodes["tax"].moods = [cut]
        receipt = await world.client.submit_until_certified(transaction)
        assert receipt.transaction_id == transaction.id
        assert list(world.ledger.transactions) == [transaction.id]

    play(consortium, scenario)


def test_receipt_is_waited_for_beyond_one_poll(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        world.ledger.certified = trio.Event()
        transaction = await world.client.sign("k", {})
        await world.client.submit(transaction)
        start = trio.current_time()
        with pytest.raises(NodeError, match="not certified yet") as failure:
            await world.client.receipt(transaction.id, wait_ms=7000)
        assert failure.value.code == Code.TIMED_OUT
        assert trio.current_time() - start == pytest.approx(7.0)
        assert world.nodes["tax"].asked.count("receipt") == 4  # 2 + 2 + 2 + 1 seconds

    play(consortium, scenario)


def test_unknown_transaction_is_asked_of_every_node(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(NodeError) as failure:
            await world.client.receipt(bytes(32))
        assert failure.value.code == Code.NOT_FOUND
        assert all("receipt" in node.asked for node in world.nodes.values())

    play(consortium, scenario)


def _other_result(receipt: Receipt) -> bytes:
    return replace(receipt, result=(2002, None)).encoded()


def _fewer_votes(receipt: Receipt) -> bytes:
    certificate = replace(receipt.certificate, votes=receipt.certificate.votes[1:])
    return replace(receipt, certificate=certificate).encoded()


def _own_members(receipt: Receipt) -> bytes:
    return replace(receipt, validators=receipt.validators[:1]).encoded()


@pytest.mark.parametrize("forge", [_other_result, _fewer_votes, _own_members])
def test_f74_forged_receipt_is_refused(
    consortium: Consortium, forge: Callable[[Receipt], bytes]
) -> None:
    """F74: one node's word is worth nothing without the certificate."""

    async def scenario(world: World) -> None:
        world.nodes["tax"].forge = forge
        with pytest.raises(Refused) as failure:
            await world.client.submit_kind("k", {})
        assert failure.value.code in (Code.RECEIPT_INVALID, Code.CERTIFICATE_INVALID)

    play(consortium, scenario)


def test_receipt_of_another_transaction_is_refused(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        other = await world.client.sign("k", {"other": True})
        world.nodes["tax"].forge = lambda _: world.ledger.receipt(other).encoded()
        with pytest.raises(Refused, match="of another transaction"):
            await world.client.submit_kind("k", {})

    play(consortium, scenario)


def test_profile_without_signing_key_only_asks(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        world.client.profile = replace(world.client.profile, signing_key=None)
        assert (await world.client.head()).height == 7
        with pytest.raises(LocalError, match="can only ask"):
            await world.client.sign("k", {})

    play(consortium, scenario)


def test_errors_in_the_block_come_out_as_they_are(consortium: Consortium) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(Refused, match="mine"):
            async with open_client(world.client.profile):
                raise Refused(Code.BODY_MALFORMED, "mine")

    play(consortium, scenario)


def make_folder(consortium: Consortium, folder: Path, port: int = 7000) -> Path:
    """Write a whole profile folder."""
    certificate, key = consortium.files(ClientIdentity("tax", "cli"))
    (folder / "genesis.bin").write_bytes(consortium.genesis())
    save_key(folder / "signing.key", consortium.seeds["tax"])
    write_profile(
        folder,
        member="tax",
        genesis="genesis.bin",
        nodes=[("tax", f"127.0.0.1:{port}")],
        signing_key="signing.key",
        tls_certificate=str(certificate),
        tls_key=str(key),
    )
    return folder


def test_profile_is_read_as_it_was_written(consortium: Consortium, tmp_path: Path) -> None:
    profile = Profile.load(make_folder(consortium, tmp_path))
    assert (profile.member, profile.sender) == ("tax", "tax")
    assert profile.nodes == (NodeAddress("tax", "127.0.0.1", 7000),)
    assert profile.chain_id == parse_genesis(consortium.genesis()).chain_id
    assert profile.weak_quorum == 2
    assert profile.signing_key is not None
    assert profile.signing_key.public_key == SigningKey(consortium.seeds["tax"]).public_key


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('member = "tax"\n', "", "member is missing or not a text"),
        ('genesis = "genesis.bin"', 'genesis = "absent.bin"', "cannot read .*absent.bin"),
        ('genesis = "genesis.bin"', 'genesis = "signing.key"', "genesis does not decode"),
        ("[[node]]", "[[nodes]]", "unknown key nodes"),
        ("127.0.0.1:7000", "127.0.0.1", "want host:port"),
        ("sender", "chain_id", "is of chain .*, want tax"),
        ("member", "member =", "client.toml: "),
    ],
)
def test_bad_profile_is_refused_with_its_place(
    consortium: Consortium, tmp_path: Path, old: str, new: str, text: str
) -> None:
    path = make_folder(consortium, tmp_path) / CONFIG_FILE
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CreditLedgerError, match=text):
        Profile.load(tmp_path)


def test_absent_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"cannot read .*client\.toml") as failure:
        Profile.load(tmp_path)
    assert failure.value.code == Code.CONFIG_INVALID


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:1x"])
def test_bad_address_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match="want host:port"):
        parse_address(text)


def test_address_is_split() -> None:
    assert parse_address("node.example:7101") == ("node.example", 7101)
    assert parse_address("[::1]:7101") == ("::1", 7101)


def test_blocking_client_over_real_sockets(consortium: Consortium, tmp_path: Path) -> None:
    genesis = parse_genesis(consortium.genesis())
    ports: list[int] = []
    ready, stop = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        ledger = Ledger(consortium, genesis.chain_id)
        ledger.certified.set()
        node = FakeNode("tax", ledger)
        gateway = Gateway(chain_id=genesis.chain_id, member="tax", members=4, handler=node.handle)
        listener = Listener(consortium.node("tax"), gateway.serve, gateway.serve)
        async with trio.open_nursery() as nursery:
            ports.append(await nursery.start(listener.run, "127.0.0.1", 0))
            tokens.append(trio.lowlevel.current_trio_token())
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=partial(trio.run, serve))
    thread.start()
    try:
        assert ready.wait(120)
        profile = Profile.load(make_folder(consortium, tmp_path, ports[0]))
        with SyncClient(profile) as client:
            assert client.head().height == 7
            assert client.status() == {"node": "tax"}
            assert client.query("x")["name"] == "x"
            receipt = client.submit_kind("asset.confirm", {"asset": "A1"})
            assert client.receipt(receipt.transaction_id) == receipt
            assert client.fate([receipt.transaction_id])[0].status == FateStatus.COMMITTED
            assert client.watch(WatchStream.ALERTS, 1, wait_ms=10) == (("alerts",), 2)
            with pytest.raises(NodeError) as failure:
                client.receipt(bytes(32))
            assert failure.value.code == Code.NOT_FOUND
        with pytest.raises(LocalError, match="not open"):
            client.head()
    finally:
        tokens[0].run_sync_soon(stop.set)
        thread.join()
