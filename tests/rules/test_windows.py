"""Daily buckets against a model that keeps every event (RULES.md, "An alert")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.encoding import decode, encode
from ledger.rules import windows
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.windows import (
    MAX_GROUPS_A_DAY,
    Bucket,
    Stream,
    StreamKind,
    add_event,
    add_events,
    build_bucket,
    evaluate,
    new_bucket,
)

_KINDS = {
    "count": StreamKind.SUM, "sum": StreamKind.SUM, "min": StreamKind.MIN, "max": StreamKind.MAX,
    "last": StreamKind.LAST, "distinct": StreamKind.DISTINCT, "top": StreamKind.TOP,
}  # fmt: skip


def _stream(agg: str) -> Stream:
    field = "" if agg == "count" else "net"
    return Stream("C044", "line", "", _KINDS[agg], field, "buyer" if agg == "top" else "", None)


def _event(net: int, buyer: str = "b") -> dict[str, Any]:
    return {"net": net, "buyer": buyer}


def _naive(agg: str, events: list[tuple[int, int, dict[str, Any]]]) -> object:
    """The aggregate of (day, order, event), computed from all events at once."""
    values = [event["net"] for _, _, event in sorted(events, key=lambda item: item[:2])]
    if not values:
        return None
    if agg == "top":
        buyers = {event["buyer"] for _, _, event in events}
        totals = [
            sum(event["net"] for _, _, event in events if event["buyer"] == buyer)
            for buyer in buyers
        ]
        return max(totals)
    models: dict[str, Any] = {
        "count": len, "sum": sum, "min": min, "max": max, "last": lambda found: found[-1],
        "distinct": lambda found: len(set(found)),
    }  # fmt: skip
    return models[agg](values)


_EVENTS = st.lists(
    st.tuples(
        st.integers(100, 110), st.builds(_event, st.integers(-50, 50), st.sampled_from("xyz"))
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(_KINDS)), _EVENTS, st.integers(100, 110), st.integers(0, 10))
def test_a_window_of_buckets_equals_all_its_events(
    agg: str, events: list[tuple[int, dict[str, Any]]], first: int, length: int
) -> None:
    stream = _stream(agg)
    buckets: dict[int, Bucket] = {}
    for order, (day, event) in enumerate(events):
        before = buckets.get(day, new_bucket(stream.kind))
        kept = encode(before)
        buckets[day] = add_event(stream, before, event, order)
        assert encode(before) == kept  # a bucket is a value: adding makes a new one
    stored = {day: decode(encode(bucket)) for day, bucket in buckets.items()}
    last = first + length
    found = evaluate(agg, ((day, stored[day]) for day in sorted(stored) if first <= day <= last))
    inside = [
        (day, order, event) for order, (day, event) in enumerate(events) if first <= day <= last
    ]
    assert found == _naive(agg, inside)


@given(st.sampled_from(sorted(_KINDS)), st.lists(st.integers(-9, 9), max_size=8))
def test_one_by_one_many_at_once_and_built_again_are_the_same(agg: str, nets: list[int]) -> None:
    stream = _stream(agg)
    events = [(order, _event(net, str(net % 3))) for order, net in enumerate(nets)]
    bucket = new_bucket(stream.kind)
    for order, event in events:
        bucket = add_event(stream, bucket, event, order)
    assert add_events(stream, new_bucket(stream.kind), events) == bucket
    assert build_bucket(stream, events) == (bucket if nets else None)


def test_the_event_with_the_greatest_order_is_last_however_it_arrives() -> None:
    stream = _stream("last")
    bucket = build_bucket(stream, [(7, _event(1)), (9, _event(2)), (8, _event(3))])
    assert bucket == (3, 9, 2)


@pytest.mark.parametrize("agg", ["sum", "top"])
def test_a_total_outside_64_bits_is_an_error_and_never_wraps(agg: str) -> None:
    stream = _stream(agg)
    huge = _event(2**63 - 1)
    one_day = build_bucket(stream, [(0, huge), (1, huge), (2, _event(-(2**62)))])
    each_day = build_bucket(stream, [(0, huge)])
    assert one_day is not None
    assert each_day is not None
    decode(encode(one_day))
    for buckets in ([(1, one_day)], [(1, each_day), (2, each_day)]):
        with pytest.raises(EvalError) as caught:
            evaluate(agg, buckets)
        assert caught.value.kind is ErrorKind.OVERFLOW


@pytest.mark.parametrize("agg", ["distinct", "top"])
def test_too_many_groups_are_an_error_and_never_a_truncation(agg: str) -> None:
    stream = _stream(agg)
    events = [(order, _event(order, str(order))) for order in range(MAX_GROUPS_A_DAY)]
    full = build_bucket(stream, events)
    assert full is not None
    assert evaluate(agg, [(1, full)]) is not None
    over = add_event(stream, full, _event(-1, "one more"), 0)
    assert over == (MAX_GROUPS_A_DAY + 1, None)
    with pytest.raises(EvalError) as caught:
        evaluate(agg, [(1, over)])
    assert caught.value.kind is ErrorKind.RANGE


@pytest.mark.parametrize("agg", ["distinct", "top"])
def test_too_many_groups_in_a_window_are_an_error(
    agg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_GROUPS_A_WINDOW", 2)
    stream = _stream(agg)
    days: Iterable[Any] = [
        (day, build_bucket(stream, [(0, _event(day, str(day)))])) for day in range(3)
    ]
    with pytest.raises(EvalError):
        evaluate(agg, days)


def test_equal_questions_share_a_stream_and_others_do_not() -> None:
    streams = [_stream(agg) for agg in ("sum", "min", "max", "last", "distinct", "top", "count")]
    ids = {stream.id for stream in streams}
    assert len(ids) == len(streams)
    assert all(len(stream_id) == 8 for stream_id in ids)
    assert _stream("sum") == _stream("sum")


def test_an_event_counts_only_with_its_fields_and_its_condition() -> None:
    def condition(event: Any) -> bool:
        if "status" not in event:
            raise EvalError(ErrorKind.MISSING, "status")
        return bool(event["status"] == "V")

    stream = Stream("C044", "line", "e.status == 'V'", StreamKind.SUM, "net", "", condition)
    assert stream.matches({"net": 1, "status": "V"})
    assert not stream.matches({"net": 1, "status": "X"})
    assert not stream.matches({"net": 1})
    assert not stream.matches({"status": "V"})
