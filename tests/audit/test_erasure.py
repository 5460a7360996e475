"""Erased bodies deleted from a home: gone from its disk, all the rest still proved (ADR 0020)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.cli import cli
from ledger.audit.erasure import plan_erasure
from ledger.audit.replay import audit_store
from ledger.audit.report import AuditReport, Verdict
from ledger.credit.records import find_by_digest
from ledger.errors import Code, StorageError
from ledger.storage.chain_store import BODIES, CERTIFICATES, ChainStore, body_key, height_key
from ledger.storage.leveldb import LevelStore
from ledger.storage.memory import MemoryStore
from ledger.transactions.records import Record, encode_record, record_digest
from tests.audit.chain import CertifiedChain, GovernedChain, governed_chain, write_home
from tests.ledger_harness import SALT, company_code
from tests.snapshots.test_transfer import follow

SECRET = b"N-only-in-this-body"
SNAPSHOTS = {"snapshot_blocks": 10}


def begin() -> CertifiedChain:
    return CertifiedChain(settings=SNAPSHOTS)


def begin_governed() -> GovernedChain:
    return governed_chain(**SNAPSHOTS)


def sale(chain: CertifiedChain, number: str, company: str = company_code(1)) -> Record:
    fields = {
        "invoice_no": number,
        "issued_on": chain.day,
        "counterparty": company_code(2),
        "net": 100,
        "tax": 10,
        "gross": 110,
        "status": "V",
    }
    return Record(company, chain.day, fields, salt=SALT)


def erase(chain: CertifiedChain, *records: Record) -> None:
    """Order these records erased, all of one company."""
    named = tuple((item.day, record_digest(encode_record(item))) for item in records)
    body = {
        "company": records[0].company,
        "category": "C044",
        "schema": "line",
        "records": named,
        "ground": "order",
        "reference": "order 7 of 2020",
    }
    assert chain.run(chain.sign("D02", "records.erase", body))[0] == Code.OK


def filled(chain: CertifiedChain) -> Record:
    """Let a chain take two records, one of them erased afterwards; return that one."""
    wrong, right = sale(chain, SECRET.decode()), sale(chain, "N-2")
    assert chain.run(chain.submit("D02", "C044", [wrong, right], "line"))[0] == Code.OK
    erase(chain, wrong)
    return wrong


def place(chain: CertifiedChain, record: Record) -> bytes:
    digest = record_digest(encode_record(record))
    found = find_by_digest(chain.state(), record.company, "C044/line", record.day, digest)
    assert found is not None
    return body_key(found.entry.height, found.entry.position, found.entry.index)


def judge(chain: CertifiedChain) -> AuditReport:
    copy = MemoryStore(dict(chain.store.scan(b"", b"\xff" * 65)))
    return audit_store(copy, MemoryStore(), chain.genesis)


@pytest.mark.parametrize("make", [begin, begin_governed])
def test_home_without_erased_bodies_is_valid_and_goes_on(make) -> None:
    """In one epoch, and over changes of members; the next blocks are what others execute too."""
    chain: CertifiedChain = make()
    key = place(chain, filled(chain))
    assert chain.store.get(key) is not None
    twin = MemoryStore(dict(chain.store.scan(b"", b"\xff" * 65)))
    done = plan_erasure(chain.store)
    assert (done.bodies, done.waiting, done.base) == (1, 0, chain.head.height)
    chain.store.write(done.writes, sync=True)
    assert chain.store.get(key) is None
    report = judge(chain)
    assert report.verdict is Verdict.VALID, report.finding
    assert "1 bodies of erased records were deleted here" in " ".join(report.files.notes)
    again = [sale(chain, "N-3"), sale(chain, SECRET.decode())]
    follow(chain, twin, lambda: chain.block(chain.submit("D02", "C044", again, "line")))
    assert judge(chain).verdict is Verdict.VALID
    assert plan_erasure(chain.store).writes == {}


def test_second_erasure_counts_on_and_moves_the_base() -> None:
    chain = begin()
    for number in (1, 2):
        filled(chain)
        chain.advance_days(1)
        done = plan_erasure(chain.store)
        assert (done.bodies, done.deleted_before) == (1, number - 1)
        chain.store.write(done.writes, sync=True)
    assert ChainStore(chain.store).erasure() == (2, 0)
    assert judge(chain).verdict is Verdict.VALID


def test_another_body_that_is_gone_is_named() -> None:
    """A home cannot pass off a body that nobody ordered erased, current or corrected, as erased."""
    chain = begin()
    old = sale(chain, "N-0")
    chain.run(chain.submit("D02", "C044", [old], "line"))
    fields = dict(old.fields) | {"net": 7}
    fixed = Record(
        old.company,
        old.day,
        fields,
        salt=SALT,
        supersedes=(old.day, record_digest(encode_record(old))),
    )
    assert chain.run(chain.submit("D02", "C044", [fixed], "line"))[0] == Code.OK
    filled(chain)
    chain.store.write(plan_erasure(chain.store).writes, sync=True)
    for record in (old, fixed):
        key = place(chain, record)
        body = chain.store.get(key)
        chain.store.write({key: None}, sync=True)
        report = judge(chain)
        assert report.verdict is not Verdict.VALID
        chain.store.write({key: body}, sync=True)
    assert judge(chain).verdict is Verdict.VALID


def test_body_above_the_last_certificate_waits() -> None:
    chain = begin()
    chain.block(chain.submit("D02", "C044", [sale(chain, "N-1")], "line"))
    below = chain.head.height
    record = filled(chain)
    for height in range(below + 1, chain.head.height + 1):
        chain.store.write({height_key(CERTIFICATES, height): None}, sync=True)
    done = plan_erasure(chain.store)
    assert (done.base, done.bodies, done.waiting, done.writes) == (below, 0, 1, {})
    assert chain.store.get(place(chain, record)) is not None


def test_home_that_could_not_be_proved_is_left_as_it_is() -> None:
    chain = begin()
    with pytest.raises(StorageError) as caught:
        plan_erasure(chain.store)
    assert caught.value.code == Code.HOME_INCOMPLETE
    with pytest.raises(StorageError, match="no snapshots"):
        plan_erasure(governed_chain().store)
    governed = begin_governed()
    filled(governed)
    held = ChainStore(governed.store)
    last = next(
        height
        for height in range(1, governed.head.height)
        if (after := held.header(height + 1)) is not None and after.epoch == 1
    )
    governed.store.write({height_key(CERTIFICATES, last): None}, sync=True)
    with pytest.raises(StorageError, match=f"no certified block {last}"):
        plan_erasure(governed.store)


def test_command_takes_the_bytes_from_the_disk(tmp_path: Path) -> None:
    chain = begin()
    filled(chain)
    home = write_home(chain, tmp_path / "home")

    def run(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(cli, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    def is_there() -> bool:
        return any(SECRET in path.read_bytes() for path in (home / "db").iterdir())

    assert is_there()
    assert run("erase", "--home", str(home), "--dry-run")["to_delete"] == 1
    assert is_there()
    assert run("erase", "--home", str(home))["deleted"] == 1
    assert not is_there()
    assert run("erase", "--home", str(home))["deleted_before"] == 1
    sizes = run("compact", "--home", str(home))
    assert sizes["bytes_after"] == sum(path.stat().st_size for path in (home / "db").iterdir())
    trusted = ("--trust", str(home / "genesis.bin"))
    assert run("audit", str(home), *trusted)["verdict"] == "VALID"
    store = LevelStore(home / "db", create=False)
    assert sum(1 for _ in store.scan(BODIES, BODIES + b"\xff" * 64)) == 1
    store.close()
