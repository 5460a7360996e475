"""A client with a right certificate and bad intent: every method, every query, any parameters.

A node may answer with a value or with a number of its own; never with INTERNAL (2099), which means
that something broke inside, and never with silence. It may not grow, and it may not keep the others
waiting: one frame of two megabytes once held a node's loop for twenty seconds and cost the
network its view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import Code
from ledger.queries import QUERIES
from network import methods
from tests.end_to_end.mutations import ODD_INTEGERS, ODD_TEXTS, SCALARS, VALUES
from tests.end_to_end.province import MEMBERS, Province
from tests.end_to_end.raw_link import RawLink

CALLS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = st.sampled_from(
    [
        "alert",
        "amount_fen",
        "application",
        "asset",
        "category",
        "company",
        "counterparty",
        "cursor",
        "day",
        "document_no",
        "from_day",
        "from_height",
        "key",
        "kind",
        "lender",
        "limit",
        "loan",
        "names",
        "product",
        "recipient",
        "ref",
        "schema",
        "source",
        "state",
        "status",
        "table",
        "to_day",
        "tx_id",
    ]
)
PARAMS = st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=6)


@pytest.fixture(scope="module")
def company(province: Province) -> str:
    """A company with a key and a record, so that questions get past the first check."""
    code, _, body = province.new_company()
    assert province.send("D01", "company.bind", body).result[0] == Code.OK
    return code


@pytest.fixture(scope="module")
def link(province: Province) -> Iterator[RawLink]:
    """One link that has to last for all requests of a test."""
    with province.raw("D18", "D02") as link:
        yield link


def check_answer(link: RawLink, method: str, params: Mapping[str, Any]) -> int:
    """Ask, and check that the answer is a value or a refusal with a number; return the code."""
    code, answer = link.call(method, params)
    assert code != Code.INTERNAL, (method, params, answer)
    if code:
        assert Code(code)
        assert isinstance(answer, str)
        assert answer
    return int(code)


@CALLS
@given(st.sampled_from(sorted(methods.METHODS)), st.dictionaries(NAMES, VALUES, max_size=4))
def test_method_with_odd_parameters(link: RawLink, method: str, params: dict[str, Any]) -> None:
    check_answer(link, method, params)


@CALLS
@given(
    st.fixed_dictionaries(
        {
            "stream": st.sampled_from(["blocks", "alerts", "", "\u202e"]) | SCALARS,
            "cursor": ODD_INTEGERS,
            "limit": ODD_INTEGERS,
            "wait_ms": st.sampled_from([0, -1, -(2**63)]),
        }
    )
)
def test_watch_from_anywhere(link: RawLink, params: dict[str, Any]) -> None:
    check_answer(link, methods.WATCH, params)


@CALLS
@given(st.lists(st.binary(max_size=40) | SCALARS, max_size=5).map(tuple), SCALARS)
def test_fates_and_receipts_of_anything(
    link: RawLink, ids: tuple[Any, ...], receipt_id: Any
) -> None:
    check_answer(link, methods.FATE, {"ids": ids})
    check_answer(link, methods.RECEIPT, {"id": receipt_id, "wait_ms": 0})


@CALLS
@given(st.lists(st.binary(max_size=200) | VALUES.map(encode) | SCALARS, max_size=5).map(tuple))
def test_transactions_of_random_bytes(link: RawLink, wires: tuple[Any, ...]) -> None:
    check_answer(link, methods.SUBMIT_MANY, {"txs": wires})
    for wire in wires:
        assert check_answer(link, methods.SUBMIT, {"tx": wire}) != Code.OK


@pytest.mark.parametrize("name", sorted(QUERIES))
@settings(CALLS, max_examples=15)
@given(params=PARAMS, changed=st.sampled_from(["", "company", "schema", "cursor", "limit"]))
def test_query_with_odd_parameters(
    link: RawLink, company: str, name: str, params: dict[str, Any], changed: str
) -> None:
    right = {"company": company, "category": "C014", "schema": "company/1", "limit": 3}
    for asked in (params, right | params, {**right, changed: params.get(changed, -1)}):
        check_answer(link, methods.QUERY, {"name": name, "params": asked})


@settings(CALLS, max_examples=30)
@given(ODD_TEXTS | st.text(max_size=40), VALUES)
def test_query_of_any_name(link: RawLink, name: str, params: Any) -> None:
    code = check_answer(link, methods.QUERY, {"name": name, "params": params})
    assert code != Code.OK


HEAVY = {
    "small integers": {"x": (1,) * 1_000_000},
    "empty transactions": {"txs": (b"",) * 900_000},
    "empty maps": {"x": ({},) * 100_000},
    "keys": {str(number): None for number in range(150_000)},
    "nested lists": {"x": (((((1,),),),),) * 50_000},
}


@pytest.mark.parametrize("name", HEAVY)
def test_frame_of_many_small_things_is_refused_before_it_is_decoded(
    province: Province, name: str
) -> None:
    frame = encode((1, methods.SUBMIT_MANY, HEAVY[name]))
    before = province.processor_s("D02")
    with province.raw("D18", "D02") as hostile:
        hostile.send_frame(frame)
        answer = hostile.receive_answer()
    assert answer[:3] == (0, False, Code.ENCODING_SIZE)
    assert province.processor_s("D02") - before < 10, "decoding it once took longer than a view"


def memory_kb(province: Province, member: str) -> int:
    """Return the resident memory of a node in KiB."""
    status = Path(f"/proc/{province.network.node(member).pid}/status").read_text()
    return int(next(line for line in status.splitlines() if "VmRSS" in line).split()[1])


def test_client_that_never_reads_is_read_no_further(province: Province) -> None:
    """Answers pile up to a bound; then the node stops reading, and others are served as before."""
    before = memory_kb(province, "D02")
    request = encode((1, methods.QUERY, {"name": "categories.list", "params": {}}))
    with ExitStack() as stack:
        silent = [stack.enter_context(province.raw("D18", "D02")) for _ in range(3)]
        for link in silent:
            link.send_until_blocked(request, 3000)
        with province.raw("D01", "D02") as other:
            assert other.call(methods.HEAD, {})[0] == Code.OK
        grown = memory_kb(province, "D02") - before
    assert grown < 200 * 1024, f"{grown} KiB more"


def test_flood_of_waiting_requests_is_told_busy(province: Province) -> None:
    """Requests held open are counted; above the member's share the answer is BUSY."""
    params = {"stream": "blocks", "cursor": 2**62, "limit": 1, "wait_ms": 60_000}
    payloads = [encode((number, methods.WATCH, params)) for number in range(1, 1501)]
    with province.raw("D18", "D02") as hostile, province.raw("D01", "D02") as other:
        hostile.send_frames(payloads)
        answer = hostile.receive_answer()
        assert answer[1:3] == (False, Code.BUSY)
        assert answer[4] > 0
        assert other.call(methods.HEAD, {})[0] == Code.OK


def test_connections_of_one_client_are_bounded(province: Province) -> None:
    """A client that opens links without end loses its own, and another member gets in."""
    with ExitStack() as stack:
        links = [stack.enter_context(province.raw("D18", "D02")) for _ in range(90)]
        answers = [link.receive_answer() for link in links[-5:]]
        assert [answer[2] for answer in answers if answer] == [Code.BUSY] * 5
        with province.raw("D01", "D02") as other:
            assert other.call(methods.HEAD, {})[0] == Code.OK


def test_nothing_of_this_broke_anything(province: Province) -> None:
    province.check_well()
    for member in MEMBERS:
        log = (province.home(member) / "log").read_text()
        assert "Traceback" not in log, member
