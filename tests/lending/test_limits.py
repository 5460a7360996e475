"""Prudential limits on ledgered loans: raised, cleared, refused, and equal to naive sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import Code, Refused, Rejected
from ledger.lending.limits.exposure import Party, get_largest, get_party_fen, process_ranked
from ledger.lending.limits.limits import (
    GENESIS_SETTING,
    Limit,
    Status,
    Unit,
    Use,
    end_limit,
    get_limits,
    put_limit,
    read_genesis_limits,
)
from ledger.lending.limits.positions import YEAR_END, get_figure
from ledger.lending.limits.related import MAX_GROUP, declare_group, get_group, put_holdings
from ledger.lending.loans.schedule import compute_months_begun
from ledger.state.overlay import Overlay
from ledger.state.tables import LIMITS as LIMITS_TABLE
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import DAY_MS, company_code
from tests.lending.province import BUYER, OTHER, TODAY, Province
from tests.lending.test_loans import drawn


def limit(name: str, measure: str, most: int, **changes: Any) -> dict[str, Any]:
    """Return a limit on micro-loan companies as the genesis document holds it."""
    return {
        "id": name,
        "kind": "micro_loan",
        "measure": measure,
        "base": "net_assets",
        "most": most,
        "unit": "bp",
        "is_minimum": False,
        "is_hard": False,
        "supervisor": "D18",
        "text": f"{measure} / net assets",
        "source": "a regulation",
        "is_verified": True,
    } | changes


LIMITS = (
    limit("ML-BORROWER", "borrower", 1_000),
    limit("ML-GROUP", "group", 1_500),
    limit("ML-DEBTOR", "debtor", 5_000, base="risk_assets"),
    limit("ML-TERM", "term", 6, base="", unit="months", is_verified=False),
    limit("ML-FINANCING", "external_financing", 10_000),
    limit("ML-RESERVE", "risk_reserve", 100, base="loans", is_minimum=True),
    limit("ML-DAYS", "definition", 90, base="", unit="days"),
    limit("FG-TOTAL", "guaranteed", 100_000, kind="guarantee"),
    limit("FG-PARTY", "guaranteed_party", 1_000, kind="guarantee"),
    limit("FG-GROUP", "guaranteed_group", 1_500, kind="guarantee", is_hard=True),
)


class Supervised(Province):
    """A province whose ICBC is a micro-loan company and whose PAB is a guarantee company."""

    settings: Mapping[str, Any] = {**Province.settings, GENESIS_SETTING: encode(LIMITS)}

    def report(self, who: str, net_assets_fen: int, **changes: Any) -> dict[str, Any]:
        """Let an institution report; return what it is told."""
        body: dict[str, Any] = {
            "day": self.day,
            "net_assets_fen": net_assets_fen,
            "total_assets_fen": 900_000_000,
            "registered_capital_fen": 5_000_000,
            "funds_fen": 7,
            "balances": {},
        }
        told: dict[str, Any] = self.do(who, "institution.report", **(body | changes))
        return told

    def limits(self, who: str = "ICBC") -> dict[str, Any]:
        """Return the use of each limit, by id."""
        shown = self.ask("D18", "exposure.limits", institution=who)
        return {item["id"]: item for item in shown["limits"]}

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rule, company, state) of the alerts on limits."""
        alerts = self.ask("D18", "alerts.list")["alerts"]
        return [(a["rule"], a["company"], a["state"]) for a in alerts if a["institution"]]


@pytest.fixture(scope="module")
def lending() -> Supervised:
    """Return a province where ICBC may lend to a company."""
    province = Supervised()
    province.sell(OTHER)
    return province


def test_a_limit_without_a_report_is_unknown_and_raises_nothing(lending: Supervised) -> None:
    lending.lend(OTHER)
    shown = lending.limits()["ML-BORROWER"]
    assert (shown["status"], shown["value"], shown["base_fen"]) == ("unknown", 1_000_000, None)
    assert lending.limits()["ML-DAYS"]["status"] == "definition"
    assert lending.alarms() == []


def test_a_borrower_over_the_limit_raises_and_repaying_clears() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.report("ICBC", 15_000_000)
    first = province.lend(OTHER)
    assert province.alarms() == []
    province.lend(OTHER)
    assert province.alarms() == [("limit/ML-BORROWER", OTHER, "OPEN")]
    shown = province.limits()["ML-BORROWER"]
    assert (shown["status"], shown["subject"], shown["used_bp"]) == ("breached", OTHER, 13_334)
    assert [item["subject"] for item in shown["breaches"]] == [OTHER]
    notices = province.ask("D18", "notices.list")["notices"]
    assert [(n["kind"], n["limit"]) for n in notices] == [("limit breached", "ML-BORROWER")]
    owed_fen = province.ask("ICBC", "loan.show", loan=first)["owed_fen"]
    province.do("ICBC", "loan.repay", loan=first, amount_fen=owed_fen)
    assert province.alarms() == [("limit/ML-BORROWER", OTHER, "RESOLVED")]
    assert province.limits()["ML-BORROWER"]["breaches"] == []


def test_a_report_moves_the_limit_and_a_correction_supersedes() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.lend(OTHER)
    balances = {"loans": 1_200_000, "risk_reserve": 10_000, "external_financing": 9_000_001}
    told = province.report("ICBC", 9_000_000, balances=balances)
    assert told["version"] == 1
    assert told["reconciled"]["loans"] == {
        "reported_fen": 1_200_000,
        "ledgered_fen": 1_000_000,
        "difference_fen": 200_000,
    }
    assert set(province.alarms()) == {
        ("limit/ML-BORROWER", OTHER, "OPEN"),
        ("limit/ML-FINANCING", "", "OPEN"),
        ("limit/ML-RESERVE", "", "OPEN"),
    }
    balances |= {"risk_reserve": 12_000, "external_financing": 9_000_000}
    assert province.report("ICBC", 10_000_000, balances=balances)["version"] == 2
    assert {state for _, _, state in province.alarms()} == {"RESOLVED"}
    shown = province.ask("ICBC", "institution.show", institution="ICBC")
    assert [item["version"] for item in shown["reports"]] == [1, 2]
    assert shown["latest"]["net_assets_fen"] == 10_000_000
    assert shown["reconciled"]["guarantees"]["difference_fen"] is None


def test_a_limit_by_vote_counts_from_its_day_and_its_end_clears() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.report("ICBC", 15_000_000)
    province.lend(OTHER)
    vote(province, {"kind": "limit", "limit": LIMITS[0] | {"most": 500}})
    assert province.alarms() == [("limit/ML-BORROWER", OTHER, "OPEN")]  # though nobody moved
    vote(province, {"kind": "end_limit", "class": "micro_loan", "id": "ML-BORROWER"})
    assert province.alarms() == [("limit/ML-BORROWER", OTHER, "RESOLVED")]
    assert "ML-BORROWER" not in province.limits()
    province.advance_days(1)
    assert not list(province.state().scan(LIMITS_TABLE, b"~"))  # the class is through


def test_a_limit_that_counts_from_a_later_day_is_looked_at_on_that_day() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.report("ICBC", 15_000_000)
    province.lend(OTHER)
    change = {"kind": "limit", "limit": LIMITS[0] | {"most": 500}}
    vote(province, change, effective_from=province.day + 2)
    province.advance_days(1)
    assert province.alarms() == []
    province.advance_days(1)
    assert province.alarms() == [("limit/ML-BORROWER", OTHER, "OPEN")]


def vote(province: Supervised, change: dict[str, Any], **more: int) -> None:
    """Let the members adopt a change of limits, from today on unless `more` says otherwise."""
    body = {
        "change": {"effective_from": province.day} | change | more,
        "expires_ms": province.head.time_ms + DAY_MS,
    }
    proposal = province.do("D18", "rule.propose", **body)["proposal"]
    for member in ("D01", "D02"):
        province.do(member, "rule.approve", proposal=proposal)


def test_a_group_is_one_borrower_while_it_is_one() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.sell(BUYER)
    province.report("ICBC", 12_000_000)
    province.lend(OTHER)
    province.lend(BUYER)
    assert province.alarms() == []
    pair = {"companies": (OTHER, BUYER)}
    province.refuse(Code.NOT_PERMITTED, "ICBC", "group.declare", **pair, group="two")
    province.do("D18", "group.declare", **pair, group="two")
    assert province.alarms() == [("limit/ML-GROUP", min(OTHER, BUYER), "OPEN")]
    shown = province.ask("ICBC", "exposure.group", company=OTHER)
    assert shown["companies"] == sorted((OTHER, BUYER))
    with pytest.raises(Rejected, match="2006"):
        province.ask("CCB", "exposure.group", company=OTHER)
    province.do("D18", "group.declare", **pair)
    assert province.alarms() == [("limit/ML-GROUP", min(OTHER, BUYER), "RESOLVED")]


def test_a_hard_limit_refuses_the_draw_and_nothing_remains() -> None:
    province = Supervised()
    province.sell(OTHER)
    applied = province.apply(
        "LINE/1", OTHER, declared={"ap.seats": 1}, company=OTHER, term_days=30, amount_fen=1_000_000
    )
    named = {"application": applied["application"]}
    province.do(OTHER, "loan.ask_guarantee", guarantor="PAB", **named)
    province.do("PAB", "loan.guarantee", amount_fen=900_000, **named)
    province.do(OTHER, "loan.accept", **named)
    sentence = province.refuse(Code.LIMIT_EXCEEDED, "ICBC", "loan.disburse", **named)
    assert sentence == "limit FG-GROUP of PAB cannot be judged: net_assets was not reported"
    province.report("PAB", 5_000_000)
    sentence = province.refuse(Code.LIMIT_EXCEEDED, "ICBC", "loan.disburse", **named)
    assert sentence.startswith("limit FG-GROUP of PAB would be exceeded")
    assert not any(figure in sentence for figure in ("900000", "1500", "5000000"))
    assert province.limits("PAB")["FG-PARTY"]["value"] == 0
    province.report("PAB", 6_000_000)
    province.do("ICBC", "loan.disburse", **named)
    assert province.alarms() == [("limit/FG-PARTY", OTHER, "OPEN")]


def test_what_one_debtor_owes_through_its_receivables_is_limited() -> None:
    province = Supervised()
    loan = drawn(province)
    principal_fen = province.ask("ICBC", "loan.show", loan=loan)["principal_fen"]
    province.report("ICBC", 10**12, balances={"risk_assets": principal_fen * 2})
    assert province.limits()["ML-DEBTOR"]["used_bp"] == 10_000
    assert province.alarms() == []
    province.report("ICBC", 10**12, balances={"risk_assets": principal_fen * 2 - 1})
    assert province.alarms() == [("limit/ML-DEBTOR", BUYER, "OPEN")]
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=principal_fen // 2)
    assert province.alarms() == [("limit/ML-DEBTOR", BUYER, "RESOLVED")]


def test_the_base_of_the_year_before_is_its_last_report() -> None:
    province = Supervised()
    new_year = TODAY - 51  # 2020-01-01
    for day, net_fen in ((new_year - 30, 5), (new_year - 1, 6), (new_year, 7), (TODAY, 8)):
        province.report("ICBC", net_fen, day=day)
    state = province.state()
    found = [
        get_figure(state, "ICBC", YEAR_END, day)
        for day in (TODAY, new_year, new_year - 1, TODAY + 365)
    ]
    assert found == [6, 6, None, 8]
    assert get_figure(state, "ICBC", "net_assets", new_year + 3) == 7
    assert get_figure(state, "ICBC", "bonds_and_abs", TODAY) is None
    assert get_figure(state, "CCB", YEAR_END, TODAY) is None


def test_the_term_limit_counts_months_begun() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.lend(OTHER, term_days=365)
    assert province.alarms() == [("limit/ML-TERM", OTHER, "OPEN")]
    assert province.ask("D18", "alerts.list")["alerts"][0]["severity"] == "yellow"
    assert compute_months_begun(TODAY, TODAY + 1) == 1
    assert compute_months_begun(TODAY, TODAY + 366) == 12  # 2020-02-21 to 2021-02-21
    assert compute_months_begun(TODAY, TODAY + 367) == 13


def test_who_sees_an_institutions_figures_and_its_breaches() -> None:
    province = Supervised()
    province.sell(OTHER)
    province.report("ICBC", 1_000_000)
    province.lend(OTHER)
    for stranger in ("PAB", OTHER, "D02"):
        for query in ("exposure.limits", "institution.show"):
            with pytest.raises(Rejected, match="2006"):
                province.ask(stranger, query, institution="ICBC")
    with pytest.raises(Rejected, match="2601"):
        province.ask("D18", "exposure.limits", institution="D02")
    seen = {
        who: {a["rule"] for a in province.ask(who, "alerts.list")["alerts"]}
        for who in ("D18", "ICBC", "PAB", OTHER)
    }
    both = {"limit/ML-BORROWER", "limit/ML-GROUP"}
    assert seen == {"D18": both, "ICBC": both, "PAB": set(), OTHER: set()}
    day = province.day
    province.refuse(Code.REPORT_DATE, "ICBC", "institution.report", **_report(day + 1))
    province.refuse(Code.NOT_PERMITTED, "D18", "institution.report", **_report(day))
    odd = _report(day) | {"balances": {"gold": 1}}
    province.refuse(Code.BODY_MALFORMED, "ICBC", "institution.report", **odd)


def _report(day: int) -> dict[str, Any]:
    names = ("net_assets_fen", "total_assets_fen", "registered_capital_fen", "funds_fen")
    return {"day": day, "balances": {}} | dict.fromkeys(names, 1)


def test_genesis_limits_are_refused_with_their_place() -> None:
    bad = encode((LIMITS[0], LIMITS[1] | {"most": 0}))
    with pytest.raises(Refused, match=r"settings.prudential_limits\[1\]"):
        read_genesis_limits({GENESIS_SETTING: bad})
    with pytest.raises(Refused, match="base"):
        read_genesis_limits({GENESIS_SETTING: encode((LIMITS[0] | {"base": ""},))})
    with pytest.raises(Refused, match="want a list"):
        read_genesis_limits({GENESIS_SETTING: encode({})})


def test_a_limit_counts_from_its_day_and_until_it_ends() -> None:
    state = Overlay(MemoryStore())
    state.begin()
    (old, *_) = read_genesis_limits({GENESIS_SETTING: encode(LIMITS)})
    new = Limit(**{**old.to_value(), "unit": Unit.RATIO_BP, "most": 800})
    put_limit(state, old, 10)
    put_limit(state, new, 20)
    end_limit(state, old.kind, old.id, 30)
    got = [[item.most for item in get_limits(state, "micro_loan", day)] for day in (9, 10, 20, 30)]
    assert got == [[], [1_000], [800], []]
    assert get_limits(state, "", 20) == ()


@given(
    value=st.none() | st.integers(-(10**15), 10**15),
    base=st.none() | st.integers(-(10**15), 10**15),
    most=st.integers(1, 200_000),
    is_minimum=st.booleans(),
)
def test_a_ratio_is_judged_as_by_fractions(
    value: int | None, base: int | None, most: int, is_minimum: bool
) -> None:
    item = limit("X", "borrower", most, is_minimum=is_minimum)
    use = Use(Limit(**{**item, "unit": Unit.RATIO_BP}), "", value, base)
    if value is None or base is None:
        assert use.status is Status.UNKNOWN
        return
    allowed = most * max(0, base)  # in ten-thousandths of a fen
    is_over = value * 10_000 < allowed if is_minimum else value * 10_000 > allowed
    assert use.status is (Status.BREACHED if is_over else Status.KEPT)
    if use.used_bp is not None and not is_minimum:
        assert (use.used_bp > 10_000) == is_over


@given(
    moves=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(list(Party)), st.sampled_from("pqrs"),
                  st.integers(-50, 100)),
        max_size=40,
    )
)  # fmt: skip
def test_ranked_exposures_equal_naive_sums(moves: list[tuple[str, Party, str, int]]) -> None:
    state = Overlay(MemoryStore())
    state.begin()
    naive: dict[tuple[str, Party, str], int] = {}
    for holder, party, name, fen in moves:
        key = (holder, party, name)
        delta = max(fen, -naive.get(key, 0))
        naive[key] = naive.get(key, 0) + delta
        process_ranked(state, holder, party, name, delta)
    for holder in "ab":
        for party in Party:
            wanted = {n: fen for (h, p, n), fen in naive.items() if (h, p) == (holder, party)}
            ranked = list(get_largest(state, holder, party, 9))
            assert dict(ranked) == {name: fen for name, fen in wanted.items() if fen}
            assert [fen for _, fen in ranked] == sorted((fen for _, fen in ranked), reverse=True)
            for name, fen in wanted.items():
                assert get_party_fen(state, holder, party, name) == fen


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.sets(st.integers(0, 7), max_size=3), st.booleans()),
        max_size=12,
    )
)
def test_groups_equal_components_of_the_links(steps: list[tuple[int, set[int], bool]]) -> None:
    """Related companies are those connected by the last word on each company."""
    state = Overlay(MemoryStore())
    state.begin()
    holdings: dict[int, set[int]] = {}
    declared: dict[int, str] = {}
    for company, others, is_declared in steps:
        if is_declared:
            name = f"group-{len(others)}" if others else None
            declare_group(state, company_code(company), name)
            declared.pop(company, None)
            declared.update({company: name} if name else {})
        else:
            put_holdings(state, company_code(company), [company_code(item) for item in others])
            holdings[company] = others - {company}
    edges = {(a, b) for a, held in holdings.items() for b in held}
    edges |= {(a, b) for a, g in declared.items() for b, h in declared.items() if g == h}
    for company in range(8):
        found = {company}
        while True:
            more = {b for a, b in edges if a in found} | {a for a, b in edges if b in found}
            if more <= found:
                break
            found |= more
        companies, is_complete = get_group(state, company_code(company))
        assert companies == tuple(sorted(company_code(item) for item in found))
        assert is_complete
        assert len(companies) <= MAX_GROUP
