"""Batches come out the same each time, within their limits, and a broken submission goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from commands.intake import (
    Attestation,
    FileMapping,
    Progress,
    derive_secret,
    make_attestations,
    make_batches,
    parse_mapping,
)
from commands.intake.batches import MAX_BATCH_BYTES
from commands.intake.progress import Step
from genesis.companies import made_up_code
from ledger.errors import Code, LocalError
from ledger.keys import SigningKey
from ledger.membership.catalogue import Category
from ledger.transactions.envelope import sign_transaction
from ledger.transactions.records import Record, check_attachments, decode_record

SECRET = derive_secret(b"\x01" * 32)


def bind(category: str, categories: Mapping[str, Category], more: str = "") -> FileMapping:
    text = f'format = "creditledger/mapping/1"\ncategory = "{category}"\n{more}'
    mapping = parse_mapping(text.encode(), categories)
    assert isinstance(mapping, FileMapping)
    return mapping


def make_records(count: int, text: str = "x") -> list[tuple[int, Record]]:
    return [
        (n + 2, Record(made_up_code(f"E{n % 20}"), 18000 + n, {"n": n, "text": text}))
        for n in range(count)
    ]


def test_batches_are_bounded_and_in_order(categories: Mapping[str, Category]) -> None:
    mapping = bind("C048", categories)
    batches = list(make_batches(make_records(2100), mapping, SECRET))
    assert [batch.body["count"] for batch in batches] == [1000, 1000, 100]
    assert [number for batch in batches for number in batch.lines] == list(range(2, 2102))
    long = list(make_batches(make_records(1000, "y" * 2000), mapping, SECRET))
    assert len(long) > 1
    assert all(sum(map(len, batch.attachments)) <= MAX_BATCH_BYTES for batch in long)
    assert sum(batch.body["count"] for batch in long) == 1000


def test_a_batch_passes_the_check_at_the_door(categories: Mapping[str, Category]) -> None:
    for category in ("C048", "C049"):
        for batch in make_batches(make_records(3), bind(category, categories), SECRET):
            transaction = sign_transaction(
                SigningKey(b"\x02" * 32),
                chain_id=bytes(32),
                sender="D02",
                nonce=batch.nonce,
                expires_at_ms=1,
                kind=batch.kind,
                body=batch.body,
                attachments=batch.attachments,
            )
            assert len(check_attachments(transaction)) == 3


def test_salts_only_where_authorisation_is_needed(categories: Mapping[str, Category]) -> None:
    (public,) = make_batches(make_records(2), bind("C048", categories), SECRET)
    (private,) = make_batches(make_records(2), bind("C040", categories), SECRET)
    assert [decode_record(data).salt for data in public.attachments] == [None, None]
    salts = [decode_record(data).salt for data in private.attachments]
    assert None not in salts
    assert len(set(salts)) == 2


def test_same_file_gives_the_same_batches_and_another_secret_does_not(
    categories: Mapping[str, Category],
) -> None:
    mapping = bind("C040", categories)
    first, again = (list(make_batches(make_records(5), mapping, SECRET)) for _ in range(2))
    other = list(make_batches(make_records(5), mapping, derive_secret(b"\x03" * 32)))
    assert first == again
    assert first[0].nonce != other[0].nonce
    assert first[0].body["root"] != other[0].body["root"]


def test_equal_batches_on_other_lines_have_other_nonces(
    categories: Mapping[str, Category],
) -> None:
    record = make_records(1)[0][1]
    batches = list(
        make_batches([(2, record), (3, record)], bind("C048", categories), SECRET, max_records=1)
    )
    assert batches[0].body == batches[1].body
    assert batches[0].nonce != batches[1].nonce


def test_attestations_are_grouped_by_category_and_days() -> None:
    items = [
        (n + 2, Attestation("C044", "line", made_up_code(f"E{n}"), 17532, 18271))
        for n in range(1500)
    ]
    items.append((1502, Attestation("C048", "", made_up_code("E1"), 17532, 18271)))
    batches = list(make_attestations(items, SECRET))
    assert [len(batch.body["companies"]) for batch in batches] == [1000, 500, 1]
    assert all(batch.kind == "records.attest" for batch in batches)
    assert list(batches[0].body["companies"]) == sorted(batches[0].body["companies"])
    assert len({batch.nonce for batch in batches}) == 3


def open_progress(path: Path, file_digest: bytes = bytes(32)) -> Progress:
    return Progress.open(
        path,
        file_digest=file_digest,
        mapping_digest=bytes(32),
        chain_id=bytes(32),
        sender="D02",
    )


def test_progress_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.progress"
    progress = open_progress(path)
    progress.note_sent(b"n1", b"i1", 77)
    progress.note_done(b"n1", 0, 5)
    progress.note_sent(b"n2", b"i2", 78)
    again = open_progress(path)
    assert again.get(b"n1") == Step(b"i1", 77, 0, 5)
    assert again.get(b"n2") == Step(b"i2", 78)
    assert not again.steps[b"n2"].is_done
    assert again.get(b"n3") is None


def test_torn_last_line_is_passed_over_and_written_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.progress"
    progress = open_progress(path)
    progress.note_sent(b"n1", b"i1", 77)
    progress.note_done(b"n1", 0, 5)
    path.write_bytes(path.read_bytes()[:-10])
    again = open_progress(path)
    assert again.get(b"n1") == Step(b"i1", 77)
    again.note_done(b"n1", 0, 5)
    assert open_progress(path).get(b"n1") == Step(b"i1", 77, 0, 5)


def test_progress_of_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.progress"
    open_progress(path)
    with pytest.raises(LocalError, match="belongs to another file") as caught:
        open_progress(path, b"\x01" * 32)
    assert caught.value.code is Code.INPUT_FILE
    path.write_bytes(b"not json\n")
    with pytest.raises(LocalError, match="is no progress file"):
        open_progress(path)
