"""A member with a right certificate and a right vote key that is out to break the others.

The node of D02 is stopped and this test speaks in its place: garbage after the handshake, votes for
absurd heights and views that it signs as it should, huge lists, floods, and questions without end.
The other three are exactly a quorum: if one of them stumbles, nothing is certified any more.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from commands.frame import Exit
from commands.local.processes import send_signal
from consensus import messages as m
from consensus.wire import encode_message
from ledger.chain.batch import Batch
from ledger.chain.certificate import checkpoint_signing_input
from ledger.encoding import decode, encode
from ledger.errors import Code
from ledger.keys import SigningKey
from network.certificates import load_key
from network.methods import WatchStream
from network.tls import PEER_PROTOCOL
from network.wire import (
    BlockParts,
    Blocks,
    Bodies,
    BodiesPurpose,
    GetBlocks,
    GetBodies,
    Hello,
    PeerFrame,
    Ping,
    Pong,
    Votes,
    encode_peer_frame,
)
from tests.end_to_end.province import Province
from tests.end_to_end.raw_link import RawLink

HOSTILE = "D02"
INDEX = 0
OTHERS = ("D01", "D18", "icbc-gd")
HASH = bytes(range(32))
FAR = 2**62
GROWTH_KB_MAX = 150 * 1024
LAST_PING = 424_242
PENALTY_MS = 2_500  # of a member that breached the protocol, and a little more


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """A network of its own without the node of D02.

    What the tests sign with that node's key its home does not remember: the others would tell it,
    and it would not vote again (rule 46).
    """
    province = Province.start(tmp_path_factory.mktemp("hostile") / "net")
    try:
        send_signal(province.network.node(HOSTILE).process, signal.SIGTERM, 600)
        yield province
    finally:
        province.stop()


@pytest.fixture(autouse=True)
def _others_go_on(stage: Province) -> Iterator[None]:
    """After every test: the three others run, certify a transaction, and have the same block."""
    yield
    for member in OTHERS:
        assert stage.network.node(member).is_running, (stage.home(member) / "log").read_text()
        assert "Traceback" not in (stage.home(member) / "log").read_text()
    receipt = stage.client("D01", "D01").submit_kind("company.bind", stage.new_company()[2])
    assert receipt.result[0] == Code.OK
    height = receipt.header.height
    assert {stage.block_hash(member, height) for member in OTHERS} == {receipt.header.hash()}


def open_link(stage: Province, node: str) -> RawLink:
    """Return a link to a node with the certificate of the hostile member's node."""
    folder = stage.net / "members" / HOSTILE
    return RawLink(stage.network.node(node).address, folder, stage.genesis, PEER_PROTOCOL)


def hello(stage: Province, **changes: object) -> bytes:
    """Return a right hello, or one with a wrong field."""
    fields: dict[str, object] = {
        "chain_id": stage.genesis.chain_id,
        "member": HOSTILE,
        "nonce": bytes(16),
        "head": 0,
    }
    changed = fields | changes
    return encode((Hello.TAG, *(changed[name] for name in ("chain_id", "member", "nonce", "head"))))


def greet(stage: Province, node: str) -> RawLink:
    """Return a link past its hellos, once the node lets the member in again."""
    for _ in range(5):
        link = open_link(stage, node)
        link.send_frame(hello(stage))
        answer = link.receive_frame()
        if answer is not None:
            assert decode(answer)[0] == Hello.TAG
            return link
        link.close()
        wait_out_penalty(stage, node)
    raise AssertionError(f"{node} does not let {HOSTILE} in")


def wait_out_penalty(stage: Province, node: str) -> None:
    """Have a node hold a question for as long as it keeps a member away."""
    params = {"stream": "blocks", "cursor": FAR, "limit": 1, "wait_ms": PENALTY_MS}
    with stage.raw("D18", node) as link:
        link.call("watch", params)


def memory_kb(stage: Province, member: str) -> int:
    """Return the resident memory of a node in KiB."""
    status = Path(f"/proc/{stage.network.node(member).pid}/status").read_text()
    return int(next(line for line in status.splitlines() if "VmRSS" in line).split()[1])


def send_all(link: RawLink, payloads: Sequence[bytes]) -> None:
    """Send frames and read what comes until the node has taken in the last of them."""
    link.send_frames([*payloads, encode_peer_frame(Ping(LAST_PING))])
    while (answer := link.receive_frame()) is not None:
        if decode(answer) == (Pong.TAG, LAST_PING):
            return
    raise AssertionError("the node cut the member off for what is no breach")


class Voter:
    """Signs whatever it likes as the hostile member."""

    def __init__(self, stage: Province) -> None:
        self.chain_id = stage.genesis.chain_id
        self.key = SigningKey(load_key(stage.net / "members" / HOSTILE / "node.key", None))

    def vote(self, kind: type, view: int, height: int, digest: bytes = HASH) -> bytes:
        """Return a signed PREPARE or COMMIT."""
        name = m.PREPARE_KIND if kind is m.Prepare else m.COMMIT_KIND
        signed = m.vote_input(self.chain_id, name, 0, view, height, digest, INDEX)
        return self._frame(kind(0, view, height, digest, INDEX, self.key.sign(signed)))

    def contradict(self, view: int, height: int) -> list[bytes]:
        """Return two COMMITs and two CHECKPOINTs for one height that contradict each other."""
        commits = [self.vote(m.Commit, view, height, digest) for digest in (HASH, HASH[::-1])]
        return [*commits, *self.contradict_checkpoint(height)]

    def contradict_checkpoint(self, height: int) -> list[bytes]:
        """Return two CHECKPOINTs that contradict each other."""
        return [self.checkpoint(height, block_hash) for block_hash in (HASH, HASH[::-1])]

    def pre_prepare(self, view: int, batch: Batch) -> bytes:
        """Return a signed PRE-PREPARE."""
        digest = batch.digest(self.chain_id)
        vote = (0, view, batch.height, digest, INDEX)
        signed = m.vote_input(self.chain_id, m.PRE_PREPARE_KIND, *vote)
        return self._frame(m.PrePrepare(0, view, digest, INDEX, self.key.sign(signed), batch))

    def checkpoint(self, height: int, block_hash: bytes = HASH) -> bytes:
        """Return a signed CHECKPOINT of a block that nobody has."""
        signed = checkpoint_signing_input(self.chain_id, 0, height, block_hash, INDEX)
        return self._frame(m.Checkpoint(0, height, block_hash, INDEX, self.key.sign(signed)))

    def view_change(self, view: int) -> bytes:
        """Return a signed VIEW-CHANGE that claims nothing."""
        empty = m.ViewChange(0, view, 0, None, (), INDEX, bytes(64))
        signature = self.key.sign(m.view_change_input(self.chain_id, empty))
        return self._frame(m.ViewChange(0, view, 0, None, (), INDEX, signature))

    def status(self, height: int, count: int) -> bytes:
        """Return a STATUS that lacks everything, of as many heights as asked for."""
        slots = tuple(m.SlotStatus(height + i, False, b"", b"") for i in range(count))
        checkpoints = tuple((height + i, b"") for i in range(count))
        lacking = tuple(range(1, count + 1))
        return self._frame(m.Status(0, FAR, True, height, height, slots, checkpoints, b"", lacking))

    def _frame(self, message: m.Message) -> bytes:
        return encode_peer_frame(Votes(encode_message(message)))


def test_votes_for_absurd_heights_and_views_change_nothing(stage: Province) -> None:
    voter = Voter(stage)
    frames = []
    for number in (0, 1, 2, 100, 2**31, FAR, 2**63 - 1):
        frames.append(voter.vote(m.Commit, number, number))
        if number % 4:  # else it leads that view, and a PREPARE of its own is a breach
            frames.append(voter.vote(m.Prepare, number, number))
        frames += [voter.vote(kind, 1, number) for kind in (m.Prepare, m.Commit)]
        frames.append(voter.checkpoint(number))
    # A primary of views that are multiples of four proposes what it likes there.
    frames += [
        voter.pre_prepare(view, Batch(height, 2**53, (HASH,)))
        for view in (0, 4, 4 * 2**50)
        for height in (1, 2**40)
    ]
    frames += [voter.view_change(view) for view in (1, 2, 3, 1000, FAR)]
    for node in OTHERS:
        with greet(stage, node) as link:
            send_all(link, frames)


def test_many_votes_do_not_pile_up(stage: Province) -> None:
    voter = Voter(stage)
    before = {node: memory_kb(stage, node) for node in OTHERS}
    frames = [voter.checkpoint(FAR + number) for number in range(2000)]
    frames += [voter.vote(m.Commit, FAR + number, 5) for number in range(2000)]
    frames += [voter.view_change(number + 10) for number in range(500)]
    for node in OTHERS:
        with greet(stage, node) as link:
            send_all(link, frames)
    for node in OTHERS:
        assert memory_kb(stage, node) - before[node] < GROWTH_KB_MAX


def test_status_of_thousands_of_heights_is_answered_within_bounds(stage: Province) -> None:
    frame = Voter(stage).status(1, m.SLOTS_MAX)
    for node in OTHERS:
        with greet(stage, node) as link:
            send_all(link, [frame] * 10)


def test_questions_without_end_are_answered_within_bounds(stage: Province) -> None:
    before = {node: memory_kb(stage, node) for node in OTHERS}
    frames: list[PeerFrame] = [GetBlocks(1, 256)] * 300
    frames += [GetBlocks(2**63 - 256, 2**63 - 1), GetBlocks(0, 0)]
    frames += [GetBodies((HASH,) * 4096)] * 20
    frames += [Ping(number) for number in range(2000)]
    for node in OTHERS:
        with greet(stage, node) as link:
            send_all(link, [encode_peer_frame(frame) for frame in frames])
    for node in OTHERS:
        assert memory_kb(stage, node) - before[node] < GROWTH_KB_MAX


def test_bodies_and_blocks_that_nobody_wants_are_dropped(stage: Province) -> None:
    part = BlockParts(b"h" * 100, 5, (b"t" * 100,) * 100, b"c")
    frames: list[PeerFrame] = [
        *(Bodies((b"x" * 200,) * 4096, purpose) for purpose in BodiesPurpose),
        *(Bodies((b"\x93" + bytes([n]) * 40,)) for n in range(256)),
        Blocks((part,) * 256, FAR),
        Blocks((), FAR),
    ]
    for node in OTHERS:
        with greet(stage, node) as link:
            send_all(link, [encode_peer_frame(frame) for frame in frames])


def test_bad_greetings_are_refused(stage: Province) -> None:
    greetings = (
        hello(stage, chain_id=bytes(32)),
        hello(stage, member="D18"),
        hello(stage, head=-1),
        hello(stage, nonce=b""),
        encode_peer_frame(Ping(1)),
        encode(None),
        b"\xc1" * 100,
    )
    for number, greeting in enumerate(greetings):
        node = OTHERS[number % len(OTHERS)]
        greet(stage, node).close()
        with open_link(stage, node) as link:
            link.send_frame(greeting)
            answer = link.receive_frame()
            assert answer is None or decode(answer)[0] == Hello.TAG
            assert link.receive_frame() is None


MANY_SMALL = encode((6, (1,) * 900_000))
BREACHES = {
    "random bytes": b"\x00\x00\x00\x64" + bytes(range(100)),
    "frame of 0 bytes": b"\x00\x00\x00\x00",
    "frame of 4 GiB": b"\xff\xff\xff\xff",
    "unknown frame": b"\x00\x00\x00\x02\x91\x63",
    "vote that is no message": b"\x00\x00\x00\x05\x92\x01\xc4\x01\xc0",
    "list of a million": len(MANY_SMALL).to_bytes(4, "big") + MANY_SMALL,
}


@pytest.mark.parametrize("name", BREACHES)
def test_breach_ends_the_session_and_nothing_else(stage: Province, name: str) -> None:
    node = OTHERS[list(BREACHES).index(name) % len(OTHERS)]
    with greet(stage, node) as link:
        link.send_bytes(BREACHES[name])
        while link.receive_frame() is not None:
            pass  # what was queued for the member before it was cut off
    stage.client("D18", node).status()  # the node has gone on, and logged it
    assert f"{HOSTILE} kept away" in (stage.home(node) / "log").read_text()


def test_vote_with_a_wrong_signature_is_charged(stage: Province) -> None:
    message = m.Commit(0, 1, 5, HASH, INDEX, bytes(64))
    with greet(stage, "D18") as link:
        link.send_frame(encode_peer_frame(Votes(encode_message(message))))
        while link.receive_frame() is not None:
            pass
    stage.client("D18", "D18").status()
    assert "a vote does not verify" in (stage.home("D18") / "log").read_text()


AHEAD = 20  # heights above the stable one: not reached while the test runs, within the window


def pieces_at(
    stage: Province, node: str, height: int, count: int = 2, rounds: int = 3_000
) -> list[dict[str, Any]]:
    """Return the evidence about one height that a node holds, once there are so many pieces."""
    for _ in range(rounds):
        answer = stage.client("D18", node).query("evidence.list")
        found = [piece for piece in answer["evidence"] if piece["height"] == height]
        if len(found) == count:
            return found
        wait_for_a_moment(stage, node)
    raise AssertionError(f"{node} holds no evidence about height {height}")


def wait_for_a_moment(stage: Province, node: str) -> None:
    """Have a node hold a question for a while."""
    stage.client("D18", node).watch(WatchStream.BLOCKS, FAR, limit=1, wait_ms=100)


@pytest.fixture(scope="module")
def caught(stage: Province) -> tuple[str, int]:
    """A node that the hostile member has told two things of one height, and the height.

    A COMMIT counts in its own view alone, which may end before the node has looked at it.
    """
    node, voter = "D01", Voter(stage)
    for number in range(10):
        status = stage.client("D18", node).status()
        height = status["stable_height"] + AHEAD + 2 * number
        with greet(stage, node) as link:
            send_all(link, voter.contradict(status["view"], height))
        try:
            pieces_at(stage, node, height, rounds=300)
        except AssertionError:
            continue
        return node, height
    raise AssertionError(f"{node} keeps no evidence")


def test_contradicting_votes_are_kept_and_shown(
    stage: Province, caught: tuple[str, int]
) -> None:  # rule 50, F4, F45
    node, height = caught
    pieces = pieces_at(stage, node, height)
    assert {(piece["member"], piece["kind"]) for piece in pieces} == {
        (HOSTILE, "COMMIT"),
        (HOSTILE, "CHECKPOINT"),
    }
    files = {path.name for path in (stage.home(node) / "evidence").iterdir()}
    assert {f"{piece['id'].hex()}.evidence" for piece in pieces} <= files
    assert stage.client("D18", node).status()["evidence"] == len(files)
    listed = stage.command("evidence", "list", "--as", "D18", "--via", node)
    assert all(piece["id"].hex() in listed.output for piece in pieces)
    assert f"{node} keeps {len(files)} piece" in stage.command("status", "--as", "D18").output
    refused = stage.command("evidence", "list", "--as", "pab-gd", "--via", node)
    assert (refused.exit_code, refused.stderr[:11]) == (Exit.REFUSED, "error E2006")


def test_exported_evidence_is_proven_offline(
    stage: Province, caught: tuple[str, int], tmp_path: Path
) -> None:
    node, height = caught
    wanted = [piece["id"].hex() for piece in pieces_at(stage, node, height)]
    options = ("--out", tmp_path, "--via", node, "--as", "D18")
    exported = stage.command("evidence", "export", *wanted, *options)
    assert exported.exit_code == Exit.OK, exported.output
    assert exported.output.split() == [str(tmp_path / f"{name}.evidence") for name in wanted]
    for file in exported.output.split():
        for command in (("evidence", "verify"), ("audit",)):
            shown = stage.command(*command, file, "--trust", stage.net / "genesis.bin")
            assert shown.exit_code == Exit.OK, shown.output
            assert shown.output.startswith(f"PROVEN\n  member    {HOSTILE} (")
            assert f"s for height {height}, " in shown.output


def test_evidence_is_there_after_a_kill_and_not_kept_twice(
    stage: Province, caught: tuple[str, int]
) -> None:
    node, height = caught
    before = pieces_at(stage, node, height)
    files = sorted((stage.home(node) / "evidence").iterdir())
    send_signal(stage.network.node(node).process, signal.SIGKILL, 600)
    stage.restart(node)
    assert pieces_at(stage, node, height) == before
    view = next(piece["view"] for piece in before if piece["kind"] == "COMMIT")
    with greet(stage, node) as link:
        send_all(link, Voter(stage).contradict(view, height))
        send_all(link, Voter(stage).contradict_checkpoint(height + 1))
    (new,) = pieces_at(stage, node, height + 1, count=1)
    now = set((stage.home(node) / "evidence").iterdir())
    assert {path.name for path in now.difference(files)} == {f"{new['id'].hex()}.evidence"}
