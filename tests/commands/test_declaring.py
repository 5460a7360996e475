"""A declaration from the command line: values as people write them, refused before it is sent."""

from __future__ import annotations

import pytest

from commands.declaring import make_declaration, read_values
from genesis.network import load_network
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import category_from_value
from ledger.transactions.records import Record, decode_record, record_digest, records_root
from tests.ledger_harness import GENESIS_DAY, SALT, company_code

LIABILITIES = category_from_value("S002", load_network("guangdong").declared[1])
SCHEMA = LIABILITIES.latest()[""]
GOOD = ("as_of=2020-02-21", "liability_type=payable", "creditor=Lin Steel", "outstanding=3,500.10")


def test_values_are_read_as_the_catalogue_stores_them() -> None:
    fields = read_values(SCHEMA, GOOD)
    assert fields == {
        "as_of": GENESIS_DAY,
        "liability_type": "payable",
        "creditor": "Lin Steel",
        "outstanding": 350_010,
    }
    record = Record(company_code(1), GENESIS_DAY, fields, salt=SALT)
    body, data = make_declaration(LIABILITIES, SCHEMA, record)
    assert decode_record(data) == record
    assert body["root"] == records_root([record_digest(data)])
    assert (body["category"], body["schema"], body["count"]) == ("S002", "", 1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((*GOOD, "colour=red"), "want FIELD=VALUE, FIELD one of as_of"),
        (("outstanding",), "want FIELD=VALUE"),
        ((*GOOD[:3], "outstanding=lots"), "outstanding: got 'lots'"),
        ((*GOOD[:3], "outstanding=-5"), "outstanding"),
        (GOOD[:3], "outstanding is missing"),
        ((*GOOD, "creditor_uscc=123"), "creditor_uscc"),
    ],
)
def test_what_is_wrong_is_named(values: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(LocalError, match=sentence) as caught:
        read_values(SCHEMA, values)
    assert caught.value.code is Code.INPUT_USAGE
