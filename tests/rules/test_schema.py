"""Schemas: how facts are computed, and what missing means (RULES.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ledger.errors import Code, RuleSourceError
from ledger.rules.features import FeatureSource
from ledger.rules.schema import Schema, load_schema
from ledger.rules.windows import Bucket, Stream, build_bucket
from tests.rules.samples import EVENTS, SCHEMA

_TODAY = 18_000


class Records:
    """A reader over a list of (category, record schema, day, event), all attested up to a day."""

    def __init__(
        self, *events: tuple[str, int, dict[str, Any]], attested: int | None = None
    ) -> None:
        self._events = events
        self._attested = attested

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        mine = [item for item in self._events if item[0] == stream.record_name]
        for day in sorted({day for _, day, _ in mine if first_day <= day <= last_day}):
            bucket = build_bucket(
                stream, [(order, event) for order, (_, at, event) in enumerate(mine) if at == day]
            )
            if bucket is not None:
                yield day, bucket

    def coverage(self, category: str, record_schema: str, first_day: int, last_day: int) -> bool:
        return self._attested is not None and last_day <= self._attested

    def last_attested(self, category: str, record_schema: str) -> int | None:
        return self._attested

    def rate_ppm(self, currency: str, day: int) -> int | None:
        return {"USD": 7_000_000}.get(currency) if day % 7 else None


def sale(
    day: int, net: int, buyer: str = "b", status: str = "V"
) -> tuple[str, int, dict[str, Any]]:
    """Return an invoice line of that day."""
    return "C044/line", day, {"net": net, "buyer": buyer, "status": status, "issued": day}


def _schema(text: str = SCHEMA) -> Schema:
    return load_schema(text.encode(), EVENTS)


def test_computes_every_record_feature_from_the_records() -> None:
    records = Records(
        sale(_TODAY - 365, 1),  # a day too old
        sale(_TODAY - 364, 500, "x"),
        sale(_TODAY - 10, 300, "y"),
        sale(_TODAY - 5, 300, "y"),
        sale(_TODAY - 5, 900, "z", "X"),
        sale(_TODAY + 1, 7),  # a day too late
        ("C047", _TODAY - 900, {"grade": "B", "score": 80, "evaluated_on": _TODAY - 900}),
        ("C047", _TODAY - 500, {"grade": "A", "score": 95, "evaluated_on": _TODAY - 500}),
        attested=_TODAY,
    )
    assert _schema().compute(_TODAY, records) == {
        "as_of": _TODAY,
        "co.sales_12m": 1_100,
        "co.invoices_12m": 4,
        "co.void_12m": 1,
        "co.void_rate": 2_500,
        "co.top_buyer_12m": 600,
        "co.buyers_12m": 3,
        "co.last_sale_on": _TODAY - 5,
        "co.days_since_sale": 5,
        "co.tax_grade": "A",
    }


def test_computes_only_what_is_asked_for_and_what_that_needs() -> None:
    records = Records(sale(_TODAY - 5, 900), attested=_TODAY)
    facts = _schema().compute(_TODAY, records, ["co.void_rate", "rv.amount"])
    assert facts == {"as_of": _TODAY, "co.void_rate": 0}


def test_an_empty_window_is_zero_only_where_the_source_attests_all_of_it() -> None:
    names = ["co.sales_12m", "co.invoices_12m", "co.top_buyer_12m", "co.buyers_12m"]
    zero = _schema().compute(_TODAY, Records(attested=_TODAY), names)
    assert zero == {"as_of": _TODAY, **dict.fromkeys(names, 0)}
    assert _schema().compute(_TODAY, Records(attested=_TODAY - 1), names) == {"as_of": _TODAY}
    assert _schema().compute(_TODAY, Records(), names) == {"as_of": _TODAY}


def test_a_last_value_and_a_share_of_nothing_stay_missing() -> None:
    names = ["co.tax_grade", "co.void_rate", "co.last_sale_on", "co.days_since_sale"]
    assert _schema().compute(_TODAY, Records(attested=_TODAY), names) == {"as_of": _TODAY}


@pytest.mark.parametrize(("length", "count"), [(512, 1), (513, None)])
def test_a_condition_does_not_read_a_text_beyond_what_its_cost_assumes(
    length: int, count: int | None
) -> None:
    text = SCHEMA.replace("where = \"e.status == 'X'\"", "where = \"e.buyer.contains('b')\"")
    stream = _schema(text).features["co.void_12m"].stream
    assert stream is not None
    assert stream.cost > 512 // 16
    records = Records(sale(_TODAY, 1, buyer="b" * length))
    assert _schema(text).compute(_TODAY, records).get("co.void_12m") == count


def test_a_stale_feature_is_missing() -> None:
    fresh = Records(sale(_TODAY - 60, 5), attested=_TODAY - 45)
    stale = Records(sale(_TODAY - 60, 5), attested=_TODAY - 46)
    assert _schema().compute(_TODAY, fresh, ["co.sales_12m"])["co.sales_12m"] == 5
    assert "co.sales_12m" not in _schema().compute(_TODAY, stale, ["co.sales_12m"])


def test_a_value_outside_its_declared_range_is_missing() -> None:
    records = Records(sale(_TODAY, -5), attested=_TODAY)
    assert "co.sales_12m" not in _schema().compute(_TODAY, records, ["co.sales_12m"])


def test_features_with_one_question_share_a_stream() -> None:
    schema = _schema(
        SCHEMA.replace(
            '[feature."co.invoices_12m"]',
            '[feature."co.invoices_3m"]\nunit = "count"\ncategory = "C044"\nschema = "line"\n'
            'agg = "count"\ndays = 90\n[feature."co.invoices_12m"]',
        )
    )
    short, long = schema.features["co.invoices_3m"], schema.features["co.invoices_12m"]
    assert short.stream_id == long.stream_id
    assert len(schema.streams) == len({stream.id for stream in schema.streams})
    assert schema.streams_for(["co.void_rate"]) == tuple(
        sorted(
            (schema.features[name].stream for name in ("co.void_12m", "co.invoices_12m")),
            key=lambda stream: stream.id if stream else b"",
        )
    )


def test_features_of_assets_and_the_loan_book_are_left_to_their_owners() -> None:
    feature = _schema().features["pt.legal_status"]
    assert (feature.source, feature.kind) == (FeatureSource.ASSET, "patent")
    assert (feature.category, feature.key, feature.field) == ("C028", "patent_no", "legal_status")
    assert feature.values == frozenset({"valid", "lapsed", "invalidated"})
    assert _schema().ref == "company/7"


_REFUSED = [
    ('agg = "sum"', 'agg = "total"', 9, 7, Code.RULE_DOCUMENT, "'total' is none of"),
    ('field = "net"', 'field = "nett"', 10, 9, Code.RULE_NAME, "did you mean net?"),
    ('category = "C044"', 'category = "C099"', 7, 12, Code.RULE_NAME, "no records C099/line"),
    ("e.status ==", "e.stauts ==", 11, 10, Code.RULE_NAME, "did you mean e.status?"),
    ("== 'V'", "== 'W'", 11, 22, Code.RULE_TYPE, "e.status is never 'W'"),
    ("e.status == 'V'", "e.net", 11, 10, Code.RULE_TYPE, "the value here is money (fen)"),
    ('unit = "fen"', 'unit = "yuan"', 6, 8, Code.RULE_DOCUMENT, "'yuan' is none of"),
    ('unit = "fen"', 'unit = "count"', 6, 8, Code.RULE_UNIT, "the sum of a field in fen"),
    ("min = 0", "min = 0.5", 14, 7, Code.RULE_FORBIDDEN, "a fraction"),
    ("days = 365", "days = 3661", 12, 8, Code.RULE_DOCUMENT, "days is 3661, want 0 to 3660"),
    ("days = 365", "day = 365", 12, 1, Code.RULE_DOCUMENT, "unknown key 'day': did you mean days?"),
    ("max = 100", "max = -100", 15, 7, Code.RULE_DOCUMENT, "want at least min, 0"),
    ('"co.sales_12m"', '"sales"', 5, 1, Code.RULE_DOCUMENT, "is no feature name"),
    ('"co.sales_12m"', '"ap.sales"', 5, 1, Code.RULE_DOCUMENT, "ap.* and only they"),
    ("version = 7", "version = 0", 4, 11, Code.RULE_DOCUMENT, "version is 0, want 1"),
    ('id = "company"', 'id = "com pany"', 3, 6, Code.RULE_DOCUMENT, "is no identifier"),
    ('"co.void_12m", ', '"co.void", ', 32, 7, Code.RULE_NAME, "unknown feature co.void"),
    ('of = ["co.last_sale_on"]', 'of = ["co.buyers_12m"]', 58, 6, Code.RULE_UNIT, "wants a date"),
]


@pytest.mark.parametrize(("old", "new", "line", "column", "code", "words"), _REFUSED)
def test_refuses_a_schema_with_the_place_of_the_mistake(
    old: str, new: str, line: int, column: int, code: Code, words: str
) -> None:
    with pytest.raises(RuleSourceError) as caught:
        _schema(SCHEMA.replace(old, new, 1))
    assert words in caught.value.message
    assert (caught.value.line, caught.value.column, caught.value.code) == (line, column, code)
