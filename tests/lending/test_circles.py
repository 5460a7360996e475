"""Guarantee circles and holdings: found from records, equal to naive graphs, shown with proofs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis.network import load_network
from ledger.chain.header import decode_header
from ledger.errors import Code, Rejected
from ledger.lending.limits.circles import PERIOD_DAYS, compute_circles, compute_dense, find_cycle
from ledger.lending.limits.related import get_group
from ledger.queries import QUERIES
from ledger.state.overlay import leaf_key, leaf_value
from ledger.state.tables import GUARANTEE_LINKS
from ledger.state.tree import decode_proof, verify_proof
from ledger.transactions.records import Record, encode_record, record_digest, records_root
from tests.ledger_harness import GENESIS_DAY, SALT, Harness, company_code

A, B, C, D = (company_code(number) for number in range(1, 5))
NEEDED = ("C011", "C016", "S004")


def chain() -> Harness:
    """Return a chain with the three categories that links come from, companies bound."""
    network = load_network("guangdong")
    tables = [x for x in (*network.categories, *network.declared) if x["id"] in NEEDED]
    made = Harness(categories=tables)
    for company in (A, B, C, D):
        assert made.run(made.bind(company))[0] == Code.OK
    return made


def guarantee(guarantor: str, debtor: str, fen: int, **changes: Any) -> Record:
    """Return a record of an annual report by which one company guarantees another."""
    fields: dict[str, Any] = {
        "report_year": 2019,
        "creditor": "a bank",
        "debtor": debtor,
        "principal_claim_type": "loan",
        "principal_amount": fen,
        "performance_from": GENESIS_DAY - 90,
        "guarantee_method": "joint_several",
    }
    return Record(guarantor, GENESIS_DAY, fields | changes, salt=SALT)


def say(made: Harness, *records: Record) -> None:
    assert made.run(made.submit("D01", "C016", records))[0] == Code.OK


def ask(made: Harness, who: str, what: str, **body: Any) -> Any:
    return QUERIES[what](made.query_context(who), body)


def test_a_circle_is_found_and_shown_with_proofs() -> None:
    made = chain()
    say(made, guarantee(A, B, 100), guarantee(B, C, 200), guarantee(C, D, 900))
    assert ask(made, "D18", "circles.list")["circles"] == []
    say(made, guarantee(C, A, 300), guarantee(D, "Some Company Ltd", 7))
    listed = ask(made, "D18", "circles.list")
    assert (listed["links"], listed["is_complete"], listed["dense"]) == (4, True, [])
    (circle,) = listed["circles"]
    assert circle["companies"] == sorted((A, B, C))
    assert (circle["amount_fen"], circle["links"]) == (600, 3)
    assert sorted(circle["cycle"]) == sorted((A, B, C))
    shown = ask(made, "D18", "circles.show", company=B)
    assert shown["circle"] == circle
    root = decode_header(shown["header"]).state_root
    assert len(shown["links"]) == 3
    for link in shown["links"]:
        key = leaf_key(GUARANTEE_LINKS, (link["guarantor"] + link["debtor"]).encode())
        verify_proof(root, key, leaf_value(link["value"]), decode_proof(link["proof"]))
        ((category, day, digest, *_),) = link["records"]
        record = guarantee(link["guarantor"], link["debtor"], link["amount_fen"])
        assert (category, day, digest) == (
            "C016",
            GENESIS_DAY,
            record_digest(encode_record(record)),
        )
    assert ask(made, "D18", "circles.show", company=D)["circle"] is None


def test_a_correction_breaks_the_circle_and_declarations_count() -> None:
    made = chain()
    old = guarantee(A, B, 100)
    say(made, old, guarantee(B, A, 200))
    assert len(ask(made, "D18", "circles.list")["circles"]) == 1
    fields = guarantee(A, D, 50).fields
    reference = (GENESIS_DAY, record_digest(encode_record(old)))
    say(made, Record(A, GENESIS_DAY, fields, supersedes=reference, salt=SALT))
    assert ask(made, "D18", "circles.list")["circles"] == []
    given_on = {"given_on": GENESIS_DAY, "debtor_uscc": A, "creditor": "a bank", "amount": 5}
    data = encode_record(Record(D, GENESIS_DAY, given_on, salt=SALT))
    body = {"category": "S004", "schema": "", "version": 1, "count": 1}
    body["root"] = records_root([record_digest(data)])
    assert made.run(made.sign(D, "records.declare", body, [data]))[0] == Code.OK
    shown = ask(made, "D18", "circles.show", company=A)
    assert shown["circle"]["companies"] == sorted((A, D))
    flags = {link["guarantor"]: link["is_self_declared"] for link in shown["links"]}
    assert flags == {A: False, D: True}


def test_two_debtors_at_one_bank_are_two_guarantees() -> None:
    made = chain()
    report = made.submit("D01", "C016", [guarantee(A, B, 100), guarantee(A, C, 200)])
    assert made.run(report) == (Code.OK, {"accepted": 2, "conflicts": (), "duplicates": ()})
    assert ask(made, "D18", "circles.list")["links"] == 2


def test_a_guarantee_is_counted_once_and_until_it_ends() -> None:
    made = chain()
    due_day = GENESIS_DAY + 10
    last_year = guarantee(A, B, 100, report_year=2018)
    say(made, last_year, guarantee(A, C, 900, report_year=2018), guarantee(B, A, 1_000))
    say(made, guarantee(A, B, 100, performance_to=due_day))
    (circle,) = ask(made, "D18", "circles.list")["circles"]
    assert (circle["companies"], circle["amount_fen"]) == (sorted((A, B)), 1_100)
    made.advance_days(10 + PERIOD_DAYS)
    assert len(ask(made, "D18", "circles.list")["circles"]) == 1
    made.advance_days(1)
    assert ask(made, "D18", "circles.list")["circles"] == []
    assert ask(made, "D18", "circles.show", company=B)["circle"] is None


@pytest.mark.parametrize("length", range(2, 7))
def test_a_circle_of_any_length_ends_with_one_of_its_guarantees(length: int) -> None:
    made = chain()
    ring = [company_code(number) for number in range(1, length + 1)]
    for number, guarantor in enumerate(ring[:-1]):
        say(made, guarantee(guarantor, ring[number + 1], 10))
    overlapping = company_code(9)
    say(made, guarantee(overlapping, A, 5), guarantee(B, overlapping, 5))
    closing = {"given_on": GENESIS_DAY, "debtor_uscc": A, "creditor": "a bank", "amount": 5}
    ending = closing | {"until_on": GENESIS_DAY + 3}
    declare(made, ring[-1], ending)
    (circle,) = ask(made, "D18", "circles.list")["circles"]
    assert circle["companies"] == sorted((*ring, overlapping))
    made.advance_days(4)
    (circle,) = ask(made, "D18", "circles.list")["circles"]
    assert circle["companies"] == sorted((A, B, overlapping))


def declare(made: Harness, company: str, fields: dict[str, Any]) -> None:
    data = encode_record(Record(company, GENESIS_DAY, fields, salt=SALT))
    body = {"category": "S004", "schema": "", "version": 1, "count": 1}
    body["root"] = records_root([record_digest(data)])
    assert made.run(made.sign("D01", "records.declare", body, [data]))[0] == Code.OK


def test_circles_are_for_regulators() -> None:
    made = chain()
    for who in ("ICBC", "D01", A):
        with pytest.raises(Rejected, match="2006"):
            ask(made, who, "circles.list")
        with pytest.raises(Rejected, match="2006"):
            ask(made, who, "circles.show", company=A)


def test_holdings_of_half_or_more_relate_companies() -> None:
    made = chain()

    def invest(held: str, share_bp: int, **changes: Any) -> Record:
        fields = {
            "investee_uscc": held,
            "investee_name": "a company",
            "contribution_amount": 5,
            "share_ratio": share_bp,
            "invested_on": GENESIS_DAY,
        }
        return Record(A, GENESIS_DAY, fields, **changes)

    most = invest(B, 5_000)
    assert made.run(made.submit("D01", "C011", [most, invest(C, 4_999)]))[0] == Code.OK
    assert get_group(made.state(), B) == (tuple(sorted((A, B))), True)
    reference = (GENESIS_DAY, record_digest(encode_record(most)))
    sold = invest(B, 100, supersedes=reference)
    assert made.run(made.submit("D01", "C011", [sold]))[0] == Code.OK
    assert get_group(made.state(), B) == ((B,), True)


GRAPHS = st.dictionaries(
    st.sampled_from("abcdefg"), st.sets(st.sampled_from("abcdefg"), max_size=5), max_size=7
)


def reach(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return what one step or more leads to, by trying until nothing is new."""
    found: set[str] = set(graph.get(start, ()))
    while more := {b for a in found for b in graph.get(a, ())} - found:
        found |= more
    return found


@given(GRAPHS)
def test_circles_equal_mutual_reach(graph: dict[str, set[str]]) -> None:
    wanted = set()
    for a in "abcdefg":
        circle = {b for b in reach(graph, a) if a in reach(graph, b)} | {a}
        if len(circle) > 1:
            wanted.add(tuple(sorted(circle)))
    circles = compute_circles(graph)
    assert circles == tuple(sorted(wanted))
    for found in circles:
        cycle = find_cycle({a: others - {a} for a, others in graph.items()}, found)
        assert len(cycle) > 1
        assert cycle[0] == found[0]
        for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert b in graph[a]


@given(GRAPHS, st.integers(1, 4))
def test_dense_groups_equal_a_naive_core(graph: dict[str, set[str]], least: int) -> None:
    pairs = {frozenset((a, b)) for a, others in graph.items() for b in others if a != b}
    left = {company for pair in pairs for company in pair}
    while True:
        kept = {a for a in left if sum(1 for pair in pairs if a in pair and pair <= left) >= least}
        if kept == left:
            break
        left = kept
    found = compute_dense(graph, least)
    assert {company for part in found for company in part} == left
    assert sum(len(part) for part in found) == len(left)
