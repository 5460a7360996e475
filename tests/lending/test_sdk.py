"""The SDK's types against what handlers and queries really give, and what it does with a lie."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import pytest

from ledger.encoding import decode, encode
from ledger.errors import Code, Refused, Rejected
from ledger.execution import HANDLERS
from ledger.queries import QUERIES
from network.sdk import ACTS, ASKS, INTERNAL, Act, Ask, assets, consents, loans, records
from network.sdk.reading import answer_type, read
from tests.lending.province import OTHER, SELLER, TODAY
from tests.lending.test_bad_bodies import QUERY_BODIES, prepared

RENAMED = {"asset.register": {"kind": "asset_kind"}, "asset.check": {"kind": "asset_kind"}}
MORE_QUERY_BODIES: dict[str, dict[str, Any]] = {
    "company.show": {"company": SELLER},
    "company.profile": {"company": SELLER},
    "company.records": {"company": SELLER, "category": "C044", "schema": "line"},
    "company.features": {"company": SELLER, "schema": "company/1"},
    "categories.list": {},
    "categories.versions": {"category": "C044"},
    "members.list": {},
    "proposals.list": {},
    "rules.list": {},
    "rules.show": {"kind": "alert", "ref": "EW05/1"},
    "tx.fate": {"tx_id": bytes(32)},
}


def _known() -> dict[str, dict[str, Any]]:
    """Return parameters of queries that have an answer; ids are those of what was prepared."""
    _, bodies = prepared()
    found = {
        "application.show": {"application": bodies["loan.accept"][1]["application"]},
        "application.sources": {"application": bodies["loan.accept"][1]["application"]},
        "consent.show": {"consent": bodies["consent.pause"][1]["consent"]},
        "loan.show": {"loan": bodies["loan.repay"][1]["loan"]},
        "loan.list": {"company": OTHER},
        "asset.show": {"asset": bodies["asset.pledge"][1]["asset"]},
        "alert.show": {"alert": bodies["alert.ack"][1]["alert"]},
    }
    return QUERY_BODIES | MORE_QUERY_BODIES | found


def _build(message: type[Any], name: str, body: dict[str, Any]) -> Any:
    renamed = RENAMED.get(name, {})
    return message(**{renamed.get(key, key): value for key, value in body.items()})


def _wire(value: Any) -> Any:
    return decode(encode(value))


def _check_tells_all(kind: Any, value: Any) -> None:
    """Check that every field of an answer has its place in the SDK's type."""
    if hasattr(kind, "__dataclass_fields__"):
        assert set(value) <= {item.name for item in fields(kind)}, kind


@pytest.mark.parametrize("kind", sorted(set(ACTS) & set(prepared()[1])))
def test_an_act_is_the_body_and_its_result_is_typed(kind: str) -> None:
    province, bodies = prepared()
    sender, body = bodies[kind]
    act = _build(ACTS[kind], kind, body)
    assert act.body() == body
    executed = province.execute([province.sign(sender, kind, act.body())])
    code, data = executed.results[0]
    assert code == Code.OK, data
    answer = read(answer_type(type(act)), _wire(data))
    assert isinstance(answer, answer_type(type(act)))
    _check_tells_all(type(answer), data)


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.__name__)
def test_a_question_is_the_parameters_and_its_answer_is_typed(ask: type[Ask[Any]]) -> None:
    province, _ = prepared()
    body = {"lender": "ICBC"} if ask is loans.ShowLenderExposure else _known().get(ask.name)
    if body is None:
        assert ask.name == "proposals.show"  # there is no proposal here to be shown
        return
    question = _build(ask, ask.name, body)
    assert question.body() == body
    caller = {"company.records": "D02", "company.match": SELLER}.get(ask.name, "D18")
    value = _wire(QUERIES[ask.name](province.query_context(caller), question.body()))
    answer = read(answer_type(ask), value)
    first, told = (answer[0], value[0]) if isinstance(answer, tuple) else (answer, value)
    _check_tells_all(type(first), told)


def test_acts_and_questions_are_kinds_and_queries_of_the_ledger() -> None:
    assert set(ACTS) <= set(HANDLERS)
    assert {ask.name for ask in ASKS} | INTERNAL >= set(QUERIES)
    assert {ask.name for ask in ASKS} <= set(QUERIES)
    assert not INTERNAL & (set(ACTS) | {ask.name for ask in ASKS})
    for message in (*ACTS.values(), *ASKS):
        assert answer_type(message) is not None


def test_records_are_signed_by_the_root_of_their_digests() -> None:
    province, _ = prepared()
    record = records.Record(
        OTHER,
        TODAY,
        {"patent_no": "ZL1", "title": "a lamp", "granted_on": TODAY, "legal_status": "valid"},
    )
    act = records.SubmitRecords(category="C028", version=1, records=(record,))
    sent = province.sign("D01", act.kind, act.body(), act.attachments())
    code, data = province.execute([sent]).results[0]
    assert code == Code.OK, data
    answer = read(answer_type(type(act)), _wire(data))
    assert answer == records.Submitted(accepted=1, conflicts=(), duplicates=())


def test_what_is_none_is_left_out() -> None:
    assert consents.OpenAccess(SELLER, ("C044",), "lending").body() == {
        "company": SELLER,
        "categories": ("C044",),
        "purpose": "lending",
    }


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"asset": "7e"}, "has no field pledged_fen"),
        ({"asset": "7e", "pledged_fen": "5"}, "pledged_fen: got str, want int"),
        ({"asset": "7e", "pledged_fen": True}, "got bool, want int"),
        ({"asset": None, "pledged_fen": 5}, "asset: got NoneType, want str"),
        ((1, 2), "got tuple, want map"),
    ],
)
def test_an_answer_of_another_type_is_refused(value: Any, word: str) -> None:
    with pytest.raises(Refused) as caught:
        read(assets.Pledged, value)
    assert caught.value.code is Code.FRAME_MALFORMED
    assert word in caught.value.message


def test_what_newer_nodes_say_more_is_passed_over() -> None:
    value = {"asset": "7e", "pledged_fen": 5, "news": 1}
    assert read(assets.Pledged, value) == assets.Pledged("7e", 5)


@dataclass(frozen=True, slots=True)
class _Header:
    height: int = 7


@dataclass(frozen=True, slots=True)
class _Receipt:
    result: tuple[int, Any]
    header: _Header = _Header()
    transaction_id: bytes = bytes(32)


@pytest.mark.parametrize(
    ("number", "code"), [(2303, Code.ASSET_ALREADY_PLEDGED), (9999, Code.INTERNAL)]
)
def test_a_result_that_is_not_ok_is_raised_with_its_code(number: int, code: Code) -> None:
    from network.sdk.ledger import read_result

    act = assets.PledgeAsset("7e", "77")
    receipt: Any = _Receipt((number, {"error": "the asset is already pledged"}))
    with pytest.raises(Rejected) as caught:
        read_result(act, receipt)
    assert caught.value.code is code
    done = read_result(act, _Receipt((0, {"asset": "7e", "pledged_fen": 5})))  # type: ignore[arg-type]
    assert (done.answer.pledged_fen, done.id) == (5, bytes(32))


def test_a_class_that_does_not_say_its_answer_is_an_error_of_its_author() -> None:
    class Mute(Act):  # type: ignore[type-arg]
        kind: ClassVar[str] = "none"

    with pytest.raises(Exception, match="does not say what it is answered with"):
        answer_type(Mute)
