"""What a node keeps of members that contradict themselves, and who may see it (rules 48, 50)."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio
from structlog.testing import capture_logs

from consensus.effects import Evidence
from consensus.evidence import decode_evidence, evidence_hash, verify_evidence
from ledger.errors import Code, CreditLedgerError, Refused, Rejected
from ledger.storage.memory import MemoryStore
from network.certificates import ClientIdentity
from network.runtime.evidence import (
    PIECES_PER_SIGNER,
    SUFFIX,
    EvidenceStore,
    Piece,
    evidence_queries,
)
from network.runtime.queries import QueryRunner
from tests.consensus.harness import CHAIN_ID, Maker
from tests.ledger_harness import Harness
from tests.simulator.keys import FastKeyring, verifier_of
from tests.storage.simulated_files import Crash, SimulatedFiles

MAKE = Maker(4)
KEYS = FastKeyring(4)
NAMES = ("D01", "D02", "D20", "D18")
VALIDATORS = tuple(zip(NAMES, KEYS.public_keys, strict=True))
FOLDER = Path("/home/evidence")


def found(height: int, signer: int = 2, other: int = 2) -> Evidence:
    """Return two contradicting PREPAREs for `height`; the second vote is for batch `other`."""
    votes = (MAKE.prepare(1, MAKE.batch(height, number), signer) for number in (1, other))
    return Evidence(signer, *votes)


def open_store(files: SimulatedFiles) -> EvidenceStore:
    return EvidenceStore(FOLDER, files, CHAIN_ID, lambda _epoch: VALIDATORS)


def check_proven(store: EvidenceStore, piece: Piece) -> None:
    """Check that the bytes of a piece are there and prove what they should."""
    data = store.read(piece.id)
    assert evidence_hash(data) == piece.id
    proven = verify_evidence(decode_evidence(data), CHAIN_ID, KEYS.public_keys, verifier_of(KEYS))
    assert (proven.signer, proven.subject) == (piece.signer, piece.subject)


def test_piece_is_durable_when_keep_returns():
    files = SimulatedFiles()
    piece = open_store(files).keep(found(3))
    for seed in range(20):
        after = open_store(files.after_crash(Random(seed)))
        assert after.pieces == (piece,)
        check_proven(after, piece)


def test_crash_at_every_operation_leaves_pieces_whole_or_absent():
    counting = SimulatedFiles()
    store = open_store(counting)
    first = store.keep(found(3))
    before = counting.operations
    second = store.keep(found(4))
    assert counting.operations - before >= 4  # write, sync, rename, sync of the folder
    for operation in range(before + 1, counting.operations + 1):
        for seed in range(10):
            files = SimulatedFiles()
            store = open_store(files)
            store.keep(found(3))
            files.crash_at = operation
            with pytest.raises(Crash):
                store.keep(found(4))
            after = files.after_crash(Random(seed))
            again = open_store(after)
            assert again.pieces in ((first,), tuple(sorted((first, second), key=lambda p: p.id)))
            assert all(name.endswith(SUFFIX) for name in after.names(FOLDER))
            assert again.keep(found(4)) == second
            assert {piece.id for piece in open_store(after).pieces} == {first.id, second.id}


def test_same_contradiction_is_kept_once_in_whatever_order_it_comes():
    files = SimulatedFiles()
    store = open_store(files)
    piece = store.keep(found(3))
    turned = Evidence(2, found(3).second, found(3).first)
    assert store.keep(turned) == piece
    assert files.names(FOLDER) == [f"{piece.id.hex()}{SUFFIX}"]
    assert not open_store(files).accept(found(3))


def test_subject_is_accepted_once_however_often_its_signer_lies_about_it():  # rule 48
    store = open_store(SimulatedFiles())
    assert store.accept(found(3))
    assert not any(store.accept(found(3, other=number)) for number in range(2, 50))


def test_liar_has_its_bound_before_and_after_a_restart_and_takes_no_others_room():  # rule 48
    files = SimulatedFiles()
    store = open_store(files)
    with capture_logs() as logs:
        accepted = [height for height in range(1, 100) if store.accept(found(height))]
    assert len(accepted) == PIECES_PER_SIGNER
    assert [entry["event"] for entry in logs] == ["no more evidence is kept of this signer"]
    for height in accepted:
        store.keep(found(height))
    again = open_store(files)
    assert len(again.pieces) == PIECES_PER_SIGNER
    assert not again.accept(found(200))
    assert again.accept(found(200, signer=1))


def test_damaged_file_is_told_and_neither_counted_nor_removed():
    files = SimulatedFiles()
    store = open_store(files)
    damaged, whole = store.keep(found(3)), store.keep(found(4))
    path = FOLDER / f"{damaged.id.hex()}{SUFFIX}"
    data = files.read(path) or b""
    for content in (data[:-1] + bytes((data[-1] ^ 1,)), data[:100], b""):
        files.overwrite(path, content)
        with capture_logs() as logs:
            again = open_store(files)
        assert again.pieces == (whole,)
        assert [entry["event"] for entry in logs] == ["evidence cannot be read"]
        assert files.read(path) == content
    assert again.keep(found(3)) == damaged
    check_proven(again, damaged)


def test_what_is_accepted_is_written_and_logged_by_the_task():
    files = SimulatedFiles()
    store = open_store(files)
    with capture_logs() as logs:
        _run_until_logged(store, logs)
    assert {piece.subject.height for piece in store.pieces} == {3, 4}
    assert [(entry["event"], entry["member"]) for entry in logs] == [
        ("conflicting signed messages", "D20")
    ] * 2
    assert logs[0]["text"] == "two PREPAREs for height 3, view 1, epoch 0"


def test_disk_that_takes_no_evidence_does_not_stop_the_node():
    files = SimulatedFiles()
    files.fail_at, files.fail_code = 1, Code.DISK_FULL
    store = open_store(files)
    with capture_logs() as logs:
        _run_until_logged(store, logs)
    assert [piece.subject.height for piece in store.pieces] == [4]
    assert [(entry["event"], entry.get("error")) for entry in logs] == [
        ("evidence is not kept", Code.DISK_FULL),
        ("conflicting signed messages", None),
    ]


def _run_until_logged(store: EvidenceStore, logs: list) -> None:
    """Let the store's task work until it has said something of both pieces that it is given."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            assert store.accept(found(3))
            assert store.accept(found(4))
            with trio.fail_after(120):
                while len(logs) < 2:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    trio.run(main)


CHAIN = Harness()


def _ask(store: EvidenceStore, caller: str, name: str, **params: object) -> object:
    return evidence_queries(store)[name](CHAIN.query_context(caller), params)


@pytest.mark.parametrize("caller", ["D18", "D01", "D02"])
def test_regulators_and_validators_may_read(caller):
    store = open_store(SimulatedFiles())
    piece = store.keep(found(3))
    assert _ask(store, caller, "evidence.list") == {
        "evidence": (
            {
                "id": piece.id,
                "member": "D20",
                "kind": "PREPARE",
                "epoch": 0,
                "view": 1,
                "height": 3,
                "bytes": piece.size,
            },
        )
    }
    assert _ask(store, caller, "evidence.show", id=piece.id) == {"data": store.read(piece.id)}


@pytest.mark.parametrize("caller", ["ICBC", "91440300192185379H"])
@pytest.mark.parametrize("name", ["evidence.list", "evidence.show"])
def test_nobody_else_may(caller, name):
    with pytest.raises(Rejected) as caught:
        _ask(open_store(SimulatedFiles()), caller, name)
    assert caught.value.code is Code.NOT_PERMITTED


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("evidence.list", {"of": "D20"}, Code.BODY_MALFORMED),
        ("evidence.show", {}, Code.BODY_MALFORMED),
        ("evidence.show", {"id": b"../../keys/node.key"}, Code.BODY_MALFORMED),
        ("evidence.show", {"id": "../genesis"}, Code.BODY_MALFORMED),
        ("evidence.show", {"id": bytes(32)}, Code.NOT_FOUND),
    ],
)
def test_wrong_questions_are_refused(name, params, code):
    with pytest.raises(CreditLedgerError) as caught:
        _ask(open_store(SimulatedFiles()), "D18", name, **params)
    assert caught.value.code is code


def test_runner_answers_for_the_ledger_and_for_the_node():
    store = open_store(SimulatedFiles())
    runner = QueryRunner(CHAIN.store, evidence_queries(store), lambda: 0)
    regulator = ClientIdentity("D18", "desk")
    assert runner(regulator, "evidence.list", {}) == {"evidence": ()}
    assert runner(regulator, "members.list", {})
    with pytest.raises(Refused, match=r"query evidence\.forge is not known"):
        runner(regulator, "evidence.forge", {})


def test_company_at_the_counter_of_a_validator_may_not_read():
    runner = QueryRunner(CHAIN.store, evidence_queries(open_store(SimulatedFiles())), lambda: 0)
    with pytest.raises(Rejected, match="neither regulator nor validator"):
        runner(ClientIdentity("D01", "91440300192185379H"), "evidence.list", {})


def test_runner_needs_a_chain():
    runner = QueryRunner(MemoryStore(), evidence_queries(open_store(SimulatedFiles())), lambda: 0)
    with pytest.raises(Refused) as caught:
        runner(ClientIdentity("D18", "desk"), "evidence.list", {})
    assert caught.value.code is Code.PEER_UNKNOWN
