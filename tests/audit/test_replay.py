"""F87–F89: whatever is altered in a stored chain is named; what is whole is VALID, with counts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ledger.audit.replay import audit, audit_store
from ledger.audit.report import AuditReport, Verdict
from ledger.chain.block import (
    StoredBlock,
    encode_results,
    encode_transactions,
    results_root,
)
from ledger.encoding import decode, encode
from ledger.errors import LocalError
from ledger.membership.genesis import parse_genesis
from ledger.state.tables import MEMBERS, RECORDS
from ledger.storage.chain_store import (
    CERTIFICATES,
    FATES,
    HEAD_KEY,
    HEADERS,
    META,
    RESULTS,
    TRANSACTIONS,
    ChainStore,
    body_key,
    certificate_writes,
    height_key,
)
from ledger.storage.memory import MemoryStore
from tests.audit.chain import CertifiedChain, filled_chain, write_home
from tests.ledger_harness import genesis_document

CHAIN = filled_chain()


def _copy() -> MemoryStore:
    return MemoryStore(dict(CHAIN.store.scan(b"", b"\xff")))


def _audit(store: MemoryStore, chain: CertifiedChain = CHAIN) -> AuditReport:
    return audit_store(store, MemoryStore(), chain.genesis)


def _finding(store: MemoryStore) -> tuple[int | None, int | None, str]:
    report = _audit(store)
    assert report.verdict is Verdict.INVALID
    assert report.finding is not None
    return report.finding.height, report.finding.position, report.finding.part


def _block(height: int) -> StoredBlock:
    block = ChainStore(CHAIN.store).block(height)
    assert block is not None
    return block


def _with_transactions(block: StoredBlock) -> dict[bytes, bytes | None]:
    data = encode_transactions(block.time_ms, block.hashes, block.transactions)
    return {height_key(TRANSACTIONS, block.header.height): data}


def test_a_whole_chain_is_valid_with_counts() -> None:
    steps: list[tuple[int, int, int]] = []
    report = audit_store(
        CHAIN.store, MemoryStore(), CHAIN.genesis, progress=lambda *step: steps.append(step)
    )
    assert report.finding is None
    assert report.verdict is Verdict.VALID
    assert (report.head, report.certified, report.uncertified) == (6, 5, 1)
    counts = report.counts.to_value()
    entries = counts.pop("state_entries")
    assert entries > 50
    assert counts == {
        "blocks": 6,
        "transactions": 9,
        "records": 10,
        "signatures": 9,
        "certificates": 5,
    }
    assert steps[-1] == (6, 6, 9)


@pytest.mark.parametrize(
    ("prefix", "height"),
    [
        (prefix, height)
        for prefix in (HEADERS, TRANSACTIONS, RESULTS, CERTIFICATES)
        for height in range(7)
        if CHAIN.store.get(height_key(prefix, height)) is not None
    ],
)
def test_f87_every_altered_byte_of_a_stored_value_names_its_block(
    prefix: bytes, height: int
) -> None:
    """Each byte in turn for short values, a seeded sample of the long ones."""
    key = height_key(prefix, height)
    data = CHAIN.store.get(key) or b""
    dice = Random(height)
    offsets = range(len(data)) if len(data) < 60 else sorted(dice.sample(range(len(data)), 25))
    spans = _transaction_spans(height) if prefix == TRANSACTIONS else []
    for offset in offsets:
        store = _copy()
        changed = bytearray(data)
        changed[offset] ^= 1 << dice.randrange(8)
        store.write({key: bytes(changed)}, sync=True)
        found_height, position, part = _finding(store)
        assert found_height == height, (offset, part)
        for index, (start, end) in enumerate(spans):
            if start <= offset < end:
                assert position == index, (offset, part)


def _transaction_spans(height: int) -> list[tuple[int, int]]:
    """Return where each stored transaction begins and ends in the stored bytes."""
    data = CHAIN.store.get(height_key(TRANSACTIONS, height)) or b""
    parts = [encode(item) for item in decode(data)[2]]
    start = len(data) - sum(map(len, parts))
    spans = []
    for part in parts:
        spans.append((start, start + len(part)))
        start += len(part)
    return spans


def test_f87_every_altered_byte_of_a_body_names_the_record() -> None:
    for position, index in ((0, 0), (0, 2)):
        key = body_key(1, position, index)
        data = CHAIN.store.get(key) or b""
        for offset in range(len(data)):
            store = _copy()
            changed = bytearray(data)
            changed[offset] ^= 0x01
            store.write({key: bytes(changed)}, sync=True)
            assert _finding(store) == (1, position, f"body of record {index}")


def test_f87_results_name_the_transaction() -> None:
    data = CHAIN.store.get(height_key(RESULTS, 4)) or b""
    results = decode(data)
    start = len(data) - sum(len(encode(item)) for item in results)
    for position, item in enumerate(results):
        end = start + len(encode(item))
        for offset in range(start, end, 3):
            store = _copy()
            changed = bytearray(data)
            changed[offset] ^= 0x01
            store.write({height_key(RESULTS, 4): bytes(changed)}, sync=True)
            assert _finding(store) == (4, position, "result")
        start = end


def test_rewritten_transaction_is_named_by_the_id_that_was_executed() -> None:
    block = _block(4)
    item = block.transactions[1]
    fields = list(decode(item.unsigned))
    fields[7] = {**fields[7], "name": "another company"}
    altered = replace(item, unsigned=encode(fields))
    transactions = (block.transactions[0], altered, block.transactions[2])
    store = _copy()
    store.write(_with_transactions(replace(block, transactions=transactions)), sync=True)
    finding = _audit(store).finding
    assert finding is not None
    assert (finding.height, finding.position, finding.part) == (4, 1, "transaction")
    assert finding.transaction_id == item.id
    assert str(finding).startswith(f"block 4, transaction 1, id {item.id.hex()}, transaction: ")


def test_altered_signature_is_told_from_altered_bytes() -> None:
    block = _block(1)
    altered = replace(block.transactions[1], signature=bytes(64))
    store = _copy()
    store.write(
        _with_transactions(replace(block, transactions=(block.transactions[0], altered))), sync=True
    )
    assert _finding(store) == (1, 1, "signature")


def test_altered_hash_list_time_and_counts_are_told_apart() -> None:
    block = _block(4)
    hashes = (block.hashes[0], bytes(32), block.hashes[2])
    first = replace(block.transactions[0], attachment_count=2)
    cases = [
        (replace(block, hashes=hashes), (4, 1, "hash list")),
        (replace(block, hashes=block.hashes[:2]), (4, None, "hash list")),
        (replace(block, time_ms=(block.time_ms or 0) + 1), (4, None, "time")),
        (replace(block, time_ms=None), (4, None, "time")),
        (replace(block, transactions=block.transactions[:2]), (4, None, "transactions")),
        (
            replace(block, transactions=(first, *block.transactions[1:])),
            (4, 0, "count of bodies"),
        ),
    ]
    for altered, place in cases:
        store = _copy()
        store.write(_with_transactions(altered), sync=True)
        assert _finding(store) == place


def test_altered_header_and_altered_certificate_are_told_apart() -> None:
    header = _block(2).header
    store = _copy()
    changed = replace(header, state_root=bytes(32))
    store.write({height_key(HEADERS, 2): changed.encoded()}, sync=True)
    assert _finding(store) == (2, None, "header")
    certificate = CHAIN.certify(header)
    signatures = tuple((signer, bytes(64)) for signer, _ in certificate.votes)
    for altered in (
        replace(certificate, votes=signatures),
        replace(certificate, block_hash=bytes(32)),
        replace(certificate, height=3),
        replace(certificate, epoch=1),
    ):
        store.write({height_key(HEADERS, 2): header.encoded()}, sync=True)
        store.write({height_key(CERTIFICATES, 2): altered.encoded()}, sync=True)
        assert _finding(store) == (2, None, "certificate")


@pytest.mark.parametrize("signers", [range(2), range(4), (0, 1, 3)])
def test_f88_a_certificate_has_exactly_a_quorum(signers: tuple[int, ...]) -> None:
    store = _copy()
    certificate = CHAIN.certify(_block(2).header, signers)
    store.write(certificate_writes(certificate), sync=True)
    if len(signers) == 3:
        assert _audit(store).verdict is Verdict.VALID
    else:
        assert _finding(store) == (2, None, "certificate")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (height_key(HEADERS, 3), (3, None, "header")),
        (height_key(TRANSACTIONS, 3), (3, None, "transactions")),
        (height_key(RESULTS, 3), (3, None, "results")),
        (body_key(1, 0, 1), (1, 0, "body of record 1")),
    ],
)
def test_f88_what_is_missing_is_named(
    key: bytes, place: tuple[int | None, int | None, str]
) -> None:
    store = _copy()
    store.write({key: None}, sync=True)
    assert _finding(store) == place


def test_f88_reordered_blocks_are_refused() -> None:
    store = _copy()
    keys = [height_key(prefix, 4) for prefix in (HEADERS, TRANSACTIONS, RESULTS, CERTIFICATES)]
    others = [height_key(prefix, 5) for prefix in (HEADERS, TRANSACTIONS, RESULTS, CERTIFICATES)]
    swapped = {key: store.get(other) for key, other in zip(keys, others, strict=True)}
    swapped |= {other: store.get(key) for key, other in zip(keys, others, strict=True)}
    store.write(swapped, sync=True)
    assert _finding(store) == (4, None, "header")


def test_f88_a_truncated_chain_says_where_it_ends() -> None:
    chain = CertifiedChain()
    chain.block(chain.bind("91440300000000018" + "X"))
    report = _audit(chain.store, chain)
    assert (report.verdict, report.head, report.certified) == (Verdict.VALID, 1, 1)
    store = _copy()
    store.write({HEAD_KEY: encode(3)}, sync=True)
    assert _finding(store)[2] == "head"


def test_without_any_certificate_nothing_is_proven() -> None:
    store = _copy()
    store.write({height_key(CERTIFICATES, h): None for h in range(1, 6)}, sync=True)
    assert _finding(store) == (1, None, "certificate")


def test_state_indexes_and_tree_are_compared_with_the_replay() -> None:
    first = next(iter(CHAIN.store.scan(RECORDS.prefix, RECORDS.prefix + b"\xff")))[0]
    node = next(iter(CHAIN.store.scan(b"t\x03", b"t\x04")))[0]
    tx_id = _block(5).transactions[0].id
    cases: list[tuple[dict[bytes, bytes | None], tuple[int | None, int | None, str]]] = [
        ({first: encode(())}, (6, None, "state (records)")),
        ({MEMBERS.prefix + b"ROGUE": encode((1,))}, (6, None, "state (members)")),
        ({MEMBERS.prefix + b"D01": None}, (6, None, "state (members)")),
        ({node: b"altered"}, (6, None, "state tree")),
        ({FATES + tx_id: encode((5, 0, 9))}, (5, 0, "index of transaction ids")),
        ({FATES + tx_id: None}, (5, 0, "index of transaction ids")),
        ({body_key(5, 0, 0): b"smuggled"}, (5, 0, "body of record 0")),
        ({META + b"rogue": b""}, (6, None, "fact rogue")),
    ]
    for writes, place in cases:
        store = _copy()
        store.write(writes, sync=True)
        assert _finding(store) == place


@pytest.mark.parametrize("name", ["results_root", "state_root"])
def test_f40_what_a_quorum_certified_against_the_rules_is_no_damage(name: str) -> None:
    """The certificate is sound, so the disk is not blamed, but the chain is INVALID."""
    results = ((2006, {"error": "no"}),)
    wrong = {"results_root": results_root(results), "state_root": bytes(32)}
    block = _block(5)
    header = replace(block.header, **{name: wrong[name]})
    store = _copy()
    gone = {height_key(prefix, 6): None for prefix in (HEADERS, TRANSACTIONS, RESULTS)}
    store.write({**gone, HEAD_KEY: encode(5)}, sync=True)
    store.write({height_key(HEADERS, 5): header.encoded()}, sync=True)
    store.write(certificate_writes(CHAIN.certify(header)), sync=True)
    if name == "results_root":
        store.write({height_key(RESULTS, 5): encode_results(results)}, sync=True)
    assert _finding(store) == (5, 0 if name == "results_root" else None, "execution")


def test_f87_no_stored_entry_can_be_altered_or_removed_unseen() -> None:
    """Every entry of the database: one flipped bit, another one in its place, and gone."""
    dice = Random(1)
    entries = list(CHAIN.store.scan(b"", b"\xff"))
    for key, value in entries:
        changed = bytearray(value)
        changed[dice.randrange(len(value))] ^= 1 << dice.randrange(8)
        sibling = key[:-1] + bytes((key[-1] ^ 1,))
        alterations: list[dict[bytes, bytes | None]] = [{key: bytes(changed)}]
        if not key.startswith(CERTIFICATES):
            alterations.append({key: None})
        if CHAIN.store.get(sibling) is None:
            alterations.append({sibling: value})
        for alteration in alterations:
            store = _copy()
            store.write(alteration, sync=True)
            assert _audit(store).verdict is Verdict.INVALID, alteration


def test_a_block_without_a_certificate_is_proven_by_a_later_one() -> None:
    """As on a node that caught up: it has the certificates that it was shown."""
    store = _copy()
    store.write({height_key(CERTIFICATES, h): None for h in (1, 2, 4)}, sync=True)
    report = _audit(store)
    assert (report.verdict, report.certified, report.counts.certificates) == (Verdict.VALID, 5, 2)
    assert report.files.notes == [
        "3 blocks have no certificate of their own, a later one proves them"
    ]
    store.write({height_key(CERTIFICATES, 5): None}, sync=True)
    assert (_audit(store).verdict, _audit(store).certified) == (Verdict.VALID, 3)


@pytest.mark.parametrize("name", ["batch_digest", "results_root", "state_root", "parent_hash"])
def test_an_altered_header_is_named_by_the_next_certified_one(name: str) -> None:
    store = _copy()
    header = replace(_block(2).header, **{name: bytes(32)})
    store.write({height_key(CERTIFICATES, h): None for h in (1, 2, 3)}, sync=True)
    store.write({height_key(HEADERS, 2): header.encoded()}, sync=True)
    assert _finding(store) == (2, None, "header")


def test_a_certificate_ahead_of_its_block_is_noted() -> None:
    """A node may be killed between the certificate that it fetched and the block behind it."""
    store = _copy()
    store.write({height_key(CERTIFICATES, 9): b"of a block to come"}, sync=True)
    report = _audit(store)
    assert (report.verdict, report.certified) == (Verdict.VALID, 5)
    assert report.files.notes == ["there is a certificate of block 9, beyond the last block 6"]


def test_f89_the_anchor_decides() -> None:
    other = parse_genesis(encode({**genesis_document(), "name": "a side chain"}))
    report = audit_store(CHAIN.store, MemoryStore(), other)
    assert report.finding is not None
    assert (report.finding.height, report.finding.part) == (0, "genesis")
    assert report.chain_id == other.chain_id


def test_rewritten_result_with_a_rewritten_header_fails_on_its_certificate() -> None:
    store = _copy()
    results = encode_results(((2006, {"error": "no"}), *_block(1).results[1:]))
    header = replace(_block(1).header, results_root=bytes(32))
    store.write(
        {height_key(RESULTS, 1): results, height_key(HEADERS, 1): header.encoded()}, sync=True
    )
    assert _finding(store) == (1, None, "header")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_home(CHAIN, tmp_path_factory.mktemp("audit") / "home")


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        os.fspath(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("genesis", [None, CHAIN.genesis.data])
def test_a_home_is_audited_and_not_touched(
    home: Path, tmp_path: Path, genesis: bytes | None
) -> None:
    before = _listing(home)
    report = audit(home, tmp_path, genesis)
    assert report.verdict is Verdict.VALID
    assert report.counts.transactions == 9
    assert report.is_anchor_given is (genesis is not None)
    assert _listing(home) == before


def test_a_database_alone_needs_an_anchor(home: Path, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="name one to trust"):
        audit(home / "db", tmp_path)
    assert audit(home / "db", tmp_path, CHAIN.genesis.data).verdict is Verdict.VALID


def test_an_empty_folder_is_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="has no database to audit"):
        audit(tmp_path / "nothing", tmp_path)


def test_damaged_files_are_damaged_and_not_replayed(tmp_path: Path) -> None:
    folder = write_home(CHAIN, tmp_path / "home")
    log = max((folder / "db").glob("*.log"), key=lambda path: path.stat().st_size)
    if not log.stat().st_size:
        log = max((folder / "db").glob("*.ldb"), key=lambda path: path.stat().st_size)
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    report = audit(folder, tmp_path / "scratch")
    assert report.verdict is Verdict.DAMAGED
    assert report.files.damages[0].file == f"db/{log.name}"
    assert not (tmp_path / "scratch").exists()


def test_genesis_of_another_chain_in_the_home_is_named(home: Path, tmp_path: Path) -> None:
    report = audit(home, tmp_path, encode({**genesis_document(), "name": "another"}))
    assert report.verdict is Verdict.DAMAGED
    assert report.files.damages[0].file == "genesis.bin"
