"""Records: ownership, types, duplicates, conflicts, corrections, attestations (DOMAIN, Records)."""

import itertools

import pytest

from ledger.credit.records import (
    RecordStatus,
    find_by_digest,
    find_by_identity,
    get_records,
    read_fields,
)
from ledger.credit.windows_state import get_coverage, merge_interval, schema_key
from ledger.errors import Code
from ledger.storage.chain_store import ChainStore
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger_harness import GENESIS_DAY, SALT, Harness, company_code, key_of

COMPANY = company_code(1)
DAY = GENESIS_DAY - 100


def line(number, day=DAY, company=COMPANY, supersedes=None, salt=SALT, **changes):
    fields = {
        "invoice_no": f"{number:08d}",
        "issued_on": day,
        "counterparty": "B1",
        "net": 10_000,
        "tax": 1_300,
        "gross": 11_300,
        "status": "V",
    }
    fields = {k: v for k, v in (fields | changes).items() if v is not None}
    return Record(company, day, fields, None, supersedes, salt)


def reference(record):
    return record.day, record_digest(encode_record(record))


def submit_lines(chain, *records):
    return chain.run(chain.submit("D02", "C044", records, "line"))


def statuses(chain, company=COMPANY):
    placed = get_records(chain.state(), company, "C044/line", None, None)
    return {item.entry.seq: item.entry.status.name for item in placed}


def test_accepted_records_are_counted_and_logged():
    chain = Harness()
    code, data = submit_lines(chain, line(1), line(2), line(1, company=company_code(2)))
    assert (code, data) == (Code.OK, {"accepted": 3, "duplicates": (), "conflicts": ()})
    state = chain.state()
    assert state.company_log_size(COMPANY) == 2
    coverage = get_coverage(state, COMPANY.encode(), schema_key("C044/line"))
    assert (coverage.record_count, coverage.first_day, coverage.last_day) == (2, DAY, DAY)


def test_same_content_is_a_duplicate_however_often_it_comes():
    chain = Harness()
    assert submit_lines(chain, line(1), line(1))[1]["duplicates"] == (1,)
    # Another salt and another source do not make it another record.
    again = Record(COMPANY, DAY, line(1).fields, bytes(32), None, bytes(16))
    assert submit_lines(chain, again)[1] == {
        "accepted": 0,
        "duplicates": (0,),
        "conflicts": (),
    }
    assert chain.state().company_log_size(COMPANY) == 1


def test_same_number_and_date_with_other_content_is_a_conflict():
    chain = Harness()
    submit_lines(chain, line(1))
    assert submit_lines(chain, line(1, net=1), line(1, day=DAY + 1))[1] == {
        "accepted": 2,
        "duplicates": (),
        "conflicts": (0,),
    }
    assert statuses(chain) == {0: "CURRENT", 1: "CONFLICT", 2: "CURRENT"}
    coverage = get_coverage(chain.state(), COMPANY.encode(), schema_key("C044/line"))
    assert coverage.conflict_count == 1


def test_schema_without_identity_knows_duplicates_only():
    chain = Harness()
    items = [Record(COMPANY, DAY, {"arrears": amount}) for amount in (1, 2, 1)]
    assert chain.run(chain.submit("D02", "C048", items))[1] == {
        "accepted": 2,
        "duplicates": (2,),
        "conflicts": (),
    }


def test_correction_supersedes_and_is_itself_corrected():
    chain = Harness()
    first = line(1)
    second = line(1, net=2, supersedes=reference(first))
    third = line(1, net=3, supersedes=reference(second))
    submit_lines(chain, first)
    assert submit_lines(chain, second)[1]["conflicts"] == ()
    assert submit_lines(chain, third)[0] == Code.OK
    assert statuses(chain) == {0: "SUPERSEDED", 1: "SUPERSEDED", 2: "CURRENT"}
    entry = find_by_identity(chain.state(), COMPANY, "C044/line", DAY, ("00000001", DAY))
    assert (entry.seq, entry.corrects) == (2, 1)
    bodies = ChainStore(chain.store)
    assert read_fields(bodies, entry.height, entry.position, entry.index)["net"] == 3


def test_correction_inside_one_transaction():
    chain = Harness()
    first = line(1)
    moved = line(7, day=DAY + 1, supersedes=reference(first))
    assert submit_lines(chain, first, moved)[1]["accepted"] == 2
    assert statuses(chain) == {0: "SUPERSEDED", 1: "CURRENT"}


def test_resubmitted_correction_is_a_duplicate():
    chain = Harness()
    first = line(1)
    second = line(1, net=2, supersedes=reference(first))
    submit_lines(chain, first, second)
    assert submit_lines(chain, first, second)[1]["duplicates"] == (0, 1)


def test_conflict_is_resolved_by_correcting_it():
    chain = Harness()
    first, other = line(1), line(1, net=5)
    submit_lines(chain, first, other)
    submit_lines(chain, line(2, net=5, supersedes=reference(other)))
    assert statuses(chain) == {0: "CURRENT", 1: "SUPERSEDED", 2: "CURRENT"}


def test_only_the_latest_can_be_corrected_and_only_once():
    chain = Harness()
    first = line(1)
    submit_lines(chain, first, line(1, net=2, supersedes=reference(first)))
    code, data = submit_lines(chain, line(1, net=3, supersedes=reference(first)))
    assert (code, data["error"]) == (
        Code.RECORD_SUPERSEDES_UNKNOWN,
        "record 0, record was corrected already by number 1",
    )


@pytest.mark.parametrize("bad", [(DAY, bytes(32)), (DAY + 1, None), (2**40, bytes(32))])
def test_correction_of_nothing_is_rejected(bad):
    chain = Harness()
    first = line(1)
    submit_lines(chain, first)
    wrong = (bad[0], bad[1] if bad[1] is not None else reference(first)[1])
    assert submit_lines(chain, line(1, net=2, supersedes=wrong))[0] == (
        Code.RECORD_SUPERSEDES_UNKNOWN
    )


def test_correction_cannot_touch_another_company():
    chain = Harness()
    first = line(1)
    submit_lines(chain, first)
    other = line(1, company=company_code(2), supersedes=reference(first))
    assert submit_lines(chain, other)[0] == Code.RECORD_SUPERSEDES_UNKNOWN


def test_found_by_digest():
    chain = Harness()
    submit_lines(chain, line(1), line(2))
    day, digest = reference(line(2))
    assert find_by_digest(chain.state(), COMPANY, "C044/line", day, digest).entry.seq == 1
    assert find_by_digest(chain.state(), COMPANY, "C044/line", day + 1, digest) is None


BAD_RECORDS = [
    (line(1, net="5"), Code.RECORD_FIELD_TYPE, "field net: got str, want int"),
    (line(1, net=True), Code.RECORD_FIELD_TYPE, "field net: got bool, want int"),
    (line(1, invoice_no=5), Code.RECORD_FIELD_TYPE, "field invoice_no: got int, want str"),
    (
        line(1, net=10**15 + 1),
        Code.RECORD_FIELD_RANGE,
        "field net: got 1000000000000001, want -1000000000000000 to 1000000000000000",
    ),
    (
        line(1, status="Y"),
        Code.RECORD_FIELD_VALUE,
        "field status: got another text, want one of V, X",
    ),
    (line(1, tax=None), Code.RECORD_FIELD_MISSING, "field tax is missing"),
    (line(1, extra=1), Code.RECORD_FIELD_UNKNOWN, "field extra is not one of the schema"),
    (
        line(1, counterparty=""),
        Code.RECORD_FIELD_RANGE,
        "field counterparty: got 0 characters, want 1 to 256",
    ),
    (
        line(1, counterparty="a\u202eb"),
        Code.RECORD_FIELD_VALUE,
        "field counterparty: got character U+202E, want text that can be shown",
    ),
    (line(1, counterparty="a\x00"), Code.RECORD_FIELD_VALUE, None),
    (line(1, company="91440300192185379I"), Code.USCC_CHARACTER, None),
    (line(1, company="914403001921853791"), Code.USCC_CHECK_DIGIT, None),
    (line(1, company="91440300"), Code.USCC_LENGTH, None),
    (line(1, day=GENESIS_DAY + 2), Code.RECORD_DATE, None),
    (line(1, day=-40_000), Code.RECORD_DATE, None),
    (
        line(1, issued_on=DAY + 1),
        Code.RECORD_DATE,
        f"field issued_on: got {DAY + 1}, want the day {DAY}",
    ),
    (line(1, salt=None), Code.RECORD_FIELD_MISSING, "salt is missing, want 16 bytes"),
]


@pytest.mark.parametrize(("record", "code", "text"), BAD_RECORDS)
def test_one_bad_record_rejects_all_and_is_named(record, code, text):
    chain = Harness()
    got, data = submit_lines(chain, line(1), record)
    assert got == code
    assert data["error"].startswith("record 1, ")
    if text is not None:
        assert data["error"] == f"record 1, {text}"
    assert chain.state().company_log_size(COMPANY) == 0
    assert statuses(chain) == {}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"arrears": -1}, Code.RECORD_FIELD_RANGE),
        ({"arrears": 1, "is_final": 1}, Code.RECORD_FIELD_TYPE),
        ({"arrears": 1, "note": "x" * 4001}, Code.RECORD_FIELD_RANGE),
        ({"arrears": 1, "note": "x" * 4000, "is_final": False}, Code.OK),
    ],
)
def test_money_flags_and_long_text(fields, code):
    chain = Harness()
    assert chain.run(chain.submit("D02", "C048", [Record(COMPANY, DAY, fields)]))[0] == code


@pytest.mark.parametrize(
    ("inventors", "code"),
    [
        (("Li", "Wang"), Code.OK),
        ((), Code.OK),
        (("Li", 5), Code.RECORD_FIELD_TYPE),
        ("Li", Code.RECORD_FIELD_TYPE),
        (("x",) * 65, Code.RECORD_FIELD_RANGE),
    ],
)
def test_lists(inventors, code):
    chain = Harness()
    fields = {"patent_no": "ZL1", "title": "t", "granted_on": DAY, "legal_status": "valid"}
    record = Record(COMPANY, DAY, fields | {"inventors": inventors})
    assert chain.run(chain.submit("D01", "C028", [record]))[0] == code


@pytest.mark.parametrize(
    ("sender", "category", "version", "code"),
    [
        ("D01", "C044", 1, Code.CATEGORY_NOT_OWNED),
        ("D02", "C999", 1, Code.CATEGORY_UNKNOWN),
        ("D02", "C044", 2, Code.SCHEMA_VERSION_UNKNOWN),
        ("D02", "C 44", 1, Code.BODY_MALFORMED),
    ],
)
def test_category_must_be_the_senders(sender, category, version, code):
    chain = Harness()
    tx = chain.submit("D02", "C044", [line(1)], "line")
    body = {**tx.body, "category": category, "version": version}
    assert chain.run(chain.sign(sender, "records.submit", body, tx.attachments))[0] == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"count": 0}, Code.BATCH_EMPTY),
        ({"count": 1001}, Code.BATCH_TOO_LARGE),
        ({"root": bytes(32)}, Code.ATTACHMENT_MISMATCH),
        ({"count": 2}, Code.ATTACHMENT_MISMATCH),
        ({"extra": 1}, Code.BODY_MALFORMED),
        ({"root": bytes(31)}, Code.BODY_MALFORMED),
        ({"count": "1"}, Code.BODY_MALFORMED),
        ({"schema": None}, Code.BODY_MALFORMED),
    ],
)
def test_bad_bodies(changes, code):
    chain = Harness()
    tx = chain.submit("D02", "C044", [line(1)], "line")
    body = {**tx.body, **changes}
    assert chain.run(chain.sign("D02", "records.submit", body, tx.attachments))[0] == code


def test_company_cannot_submit_for_a_department():
    chain = Harness()
    chain.run(chain.bind(COMPANY))
    tx = chain.submit("D02", "C044", [line(1)], "line")
    own = chain.sign(COMPANY, "records.submit", tx.body, tx.attachments, key=key_of(COMPANY))
    assert chain.run(own)[0] == Code.CATEGORY_NOT_OWNED


def test_attestations_merge():
    chain = Harness()
    companies = (COMPANY, company_code(2))
    for low, high in ((0, 10), (20, 30), (11, 12)):
        code, data = chain.run(chain.attest("D02", "C044", companies, low, high, "line"))
        assert (code, data) == (Code.OK, {"companies": 2})
    coverage = get_coverage(chain.state(), COMPANY.encode(), schema_key("C044/line"))
    assert coverage.intervals == ((0, 12), (20, 30))
    assert coverage.covers(3, 12)
    assert not coverage.covers(3, 20)
    assert coverage.last_attested() == 30


@pytest.mark.parametrize(
    ("sender", "low", "high", "code"),
    [
        ("D02", 10, 9, Code.RECORD_DATE),
        ("D02", 0, GENESIS_DAY + 2, Code.RECORD_DATE),
        ("D01", 0, 10, Code.CATEGORY_NOT_OWNED),
    ],
)
def test_bad_attestations(sender, low, high, code):
    chain = Harness()
    assert chain.run(chain.attest(sender, "C044", (COMPANY,), low, high))[0] == code


def test_intervals_merge_like_sets_of_days():
    for spans in itertools.permutations([(0, 2), (3, 4), (6, 9), (8, 12), (1, 1)]):
        merged = ()
        for low, high in spans:
            merged = merge_interval(merged, low, high)
        assert merged == ((0, 4), (6, 12))


def test_status_numbers_are_stored_and_fixed():
    assert [int(status) for status in RecordStatus] == [0, 1, 2, 3]
