"""The rules of credit by vote: versions, dates, windows of the past, categories, rates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.backfill import process_backfill
from ledger.credit.rates import get_rate_ppm
from ledger.credit.rule_terms import get_fill_jobs
from ledger.credit.rulebook import RuleCache
from ledger.credit.voted_settings import BACKFILL_RECORDS, get_number
from ledger.credit.windows_state import CompanyWindows
from ledger.encoding import decode, encode
from ledger.errors import Code
from ledger.lending.limits.limits import get_limits
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES
from ledger.storage.chain_store import ChainStore
from ledger.transactions.records import Record
from tests.ledger_harness import DAY_MS, category, field, schema
from tests.lending.documents import SALES_ALERT, SCHEMA, SCORECARD, credit_line
from tests.lending.province import OTHER, SELLER, TODAY, invoice
from tests.lending.rulers import VOTERS, Rulers
from tests.lending.test_bad_bodies import VALUES

SCHEMA_2 = (
    SCHEMA.replace(b"version = 1", b"version = 2", 1)
    + b"""
[feature."co.customers_12m"]
unit = "count"
category = "C044"
schema = "line"
agg = "distinct"
field = "counterparty"
days = 365
[feature."co.gross_12m"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "gross"
where = "e.status == 'V'"
days = 365
[feature."pt.title"]
unit = "text"
source = "asset"
kind = "patent"
category = "C028"
key = "title"
field = "title"
"""
)
SCORECARD_2 = SCORECARD.replace(b"version = 1", b"version = 2", 1)


@pytest.fixture
def network() -> Rulers:
    return Rulers()


def test_a_scorecard_counts_from_the_day_that_was_voted(network: Rulers) -> None:
    network.adopt(SCORECARD_2, in_days=3)
    assert network.status()["SME/2"] == "later"
    line = credit_line(version=2).replace(b"SME/1", b"SME/2")
    early = network.refuse(Code.RULE_DATE, "ICBC", "product.register", source=line)
    assert "SME/2 counts from day" in early
    line = line.replace(b"2020-01-01", b"2020-02-24")
    network.do("ICBC", "product.register", source=line)
    network.advance_days(3)
    assert network.status()["SME/2"] == "in force"
    network.consent(SELLER, "ICBC")
    assert network.apply("LINE", declared={"ap.seats": 1})["outcome"] == "GRANT"


def test_old_decisions_keep_the_versions_they_named(network: Rulers) -> None:
    network.consent(SELLER, "ICBC")
    before = network.apply("LINE/1", declared={"ap.seats": 1})
    shown = network.ask("ICBC", "application.show", application=before["application"])
    network.adopt(SCORECARD_2)
    today = b"2020-02-21"
    line = credit_line(version=2).replace(b"SME/1", b"SME/2").replace(b"2020-01-01", today)
    network.do("ICBC", "product.register", source=line)
    assert network.ask("ICBC", "application.show", application=before["application"]) == shown
    assert network.ask("ICBC", "product.show", product="LINE/1")["scorecard"] == "SME/1"
    assert network.ask("ICBC", "rules.show", kind="scorecard", ref="SME/1")["source"] == SCORECARD


@pytest.mark.parametrize(
    ("source", "in_days", "code"),
    [
        (SCORECARD, 0, Code.RULE_EXISTS),
        (SCORECARD_2, -1, Code.RULE_DATE),
        (SCORECARD_2.replace(b"400", b"400.5"), 0, Code.RULE_INVALID),
        (credit_line(version=9), 0, Code.RULE_INVALID),
        (b"kind = 3", 0, Code.RULE_INVALID),
        (SCORECARD_2.replace(b"company/1", b"company/9"), 0, Code.SCHEMA_UNKNOWN),
    ],
)
def test_what_may_not_be_proposed(network: Rulers, source: bytes, in_days: int, code: Code) -> None:
    got, data = network.propose("rule", source=source, effective_from=network.day + in_days)
    assert Code(got) is code, data


def test_versions_only_go_up(network: Rulers) -> None:
    network.adopt(SCORECARD.replace(b"version = 1", b"version = 5", 1))
    code, _ = network.propose("rule", source=SCORECARD_2, effective_from=network.day)
    assert code == Code.RULE_VERSION


def test_a_proposal_that_another_overtook_is_refused_when_it_is_decided(network: Rulers) -> None:
    _, first = network.propose("rule", source=SCORECARD_2, effective_from=network.day)
    network.adopt(SCORECARD.replace(b"version = 1", b"version = 5", 1))
    network.act("D02", "rule.approve", {"proposal": first["proposal"]})
    code, data = network.act("D20", "rule.approve", {"proposal": first["proposal"]})
    assert code == Code.RULE_VERSION, data
    assert "SME/2" not in network.status()


def test_a_voter_lets_only_so_much_be_judged_in_one_block(network: Rulers) -> None:
    _, first = network.propose("rule", source=SCORECARD_2, effective_from=network.day)
    network.adopt(SCORECARD.replace(b"version = 1", b"version = 5", 1))
    body = {"proposal": first["proposal"]}
    network.act("D02", "rule.approve", body)
    votes = [network.sign("D20", "rule.approve", body) for _ in range(6)]
    codes = [code for code, _ in network.block(*votes).results]
    assert codes == [Code.RULE_VERSION] * 4 + [Code.PROPOSAL_LIMIT] * 2


def test_only_members_with_a_vote_approve_and_only_the_proposer_withdraws(
    network: Rulers,
) -> None:
    code, data = network.propose("rule", "ICBC", source=SCORECARD_2, effective_from=network.day)
    assert (code, data["approvals"], data["needed"]) == (Code.OK, 0, 3)
    body = {"proposal": data["proposal"]}
    assert network.act("ICBC", "rule.approve", body)[0] == Code.NOT_PERMITTED
    assert network.act("D01", "rule.withdraw", body)[0] == Code.NOT_PERMITTED
    assert network.act("D01", "member.approve", body)[0] == Code.PROPOSAL_UNKNOWN
    assert network.act("ICBC", "rule.withdraw", body)[0] == Code.OK
    assert network.act("D01", "rule.approve", body)[0] == Code.PROPOSAL_STATE
    shown = network.ask("D02", "proposals.list")["proposals"][0]
    assert (shown["kind"], shown["member"], shown["state"]) == ("rule", "", "withdrawn")


def test_a_companys_key_proposes_nothing(network: Rulers) -> None:
    code, _ = network.propose("rule", SELLER, source=SCORECARD_2, effective_from=network.day)
    assert code == Code.NOT_PERMITTED


def test_a_rule_that_asks_nothing_new_counts_at_once(network: Rulers) -> None:
    alert = SALES_ALERT.replace(b"version = 1", b"version = 2", 1).replace(b"* 2 <=", b"* 3 <=")
    network.adopt(alert)
    assert get_fill_jobs(network.state()) == ()
    assert (network.status()["EW05/1"], network.status()["EW05/2"]) == ("followed", "in force")


def raise_sales_alert(network: Rulers) -> str:
    """Let OTHER's sales fall to a third; return the id of the alert."""
    sales = [invoice(1, TODAY - 100, 90_000_000, company=OTHER)]
    sales.append(invoice(2, TODAY - 5, 30_000_000, company=OTHER))
    network.succeed(network.submit("D02", "C044", sales, "line"))
    found = network.ask("D18", "alerts.list", company=OTHER)["alerts"]
    assert [item["rule"] for item in found] == ["EW05/1"]
    return str(found[0]["alert"])


def test_a_new_version_of_an_alert_goes_on_where_the_old_one_stood(network: Rulers) -> None:
    alert = raise_sales_alert(network)
    stricter = SALES_ALERT.replace(b"version = 1", b"version = 2", 1)
    network.adopt(stricter.replace(b"* 2 <=", b"* 4 <="))
    network.do("D18", "alert.review", companies=(OTHER,))
    shown = network.ask("D18", "alert.show", alert=alert)
    assert (shown["state"], shown["rule"]) == ("RESOLVED", "EW05/1")
    assert network.ask("D18", "alerts.watch", company=OTHER)["rules"] == []


def test_an_alert_that_was_ended_is_not_looked_at_any_more(network: Rulers) -> None:
    assert network.propose("end_alert", ref="EW05/9", last_day=network.day)[0] == Code.ALERT_UNKNOWN
    assert network.decide("end_alert", ref="EW05/1", last_day=network.day)[0] == Code.OK
    again = network.propose("end_alert", ref="EW05/1", last_day=network.day)
    assert again[0] == Code.RULE_DATE
    network.advance_days(1)
    assert network.status()["EW05/1"] == "ended"
    sales = [invoice(1, TODAY - 100, 90_000_000, company=OTHER)]
    network.succeed(network.submit("D02", "C044", sales, "line"))
    assert network.ask("D18", "alerts.list", company=OTHER)["alerts"] == []


def test_what_an_ended_rule_said_last_puts_nobody_on_the_watch_list(network: Rulers) -> None:
    raise_sales_alert(network)
    assert network.ask("D18", "alerts.watch", company=OTHER)["rules"] == ["EW05/1"]
    assert network.decide("end_alert", ref="EW05/1", last_day=network.day)[0] == Code.OK
    network.advance_days(1)
    assert network.ask("D18", "alerts.watch", company=OTHER)["rules"] == []


def category_with(network: Rulers, **changes: Any) -> dict[str, Any]:
    """Return category C048 with a second version of its main schema."""
    value: Any = decode(encode(network.state().get(CATEGORIES, b"C048")))
    main = dict(value["schemas"][0])
    fields = (*main["fields"], field("days_late", "int", minimum=0))
    fresh = main | {"version": 2, "fields": fields} | changes
    return dict(value) | {"schemas": (*value["schemas"], fresh)}


def test_a_new_version_of_a_record_schema_while_old_records_stay_readable(
    network: Rulers,
) -> None:
    until = network.day + 10
    code, data = network.decide(
        "category",
        category=category_with(network),
        effective_from=network.day + 1,
        accepted_until=until,
    )
    assert code == Code.OK, data

    def send(version: int, n: int) -> int:
        given: dict[str, Any] = {"arrears": n} | ({"days_late": 3} if version == 2 else {})
        made = network.submit("D02", "C048", [Record(SELLER, TODAY - n, given)])
        body = dict(made.body) | {"version": version}
        return network.run(network.sign("D02", "records.submit", body, made.attachments))[0]

    assert (send(1, 1), send(2, 2)) == (Code.OK, Code.RULE_DATE)
    network.advance_days(1)
    assert (send(1, 3), send(2, 4)) == (Code.OK, Code.OK)
    network.advance_days(10)
    assert (send(1, 5), send(2, 6)) == (Code.RULE_DATE, Code.OK)
    shown = network.ask("D02", "company.records", company=SELLER, category="C048")["records"]
    assert [item["fields"]["arrears"] for item in shown] == [6, 4, 3, 1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 1}, Code.BODY_MALFORMED),
        ({"fields": (field("arrears", "int"),)}, Code.CATEGORY_CHANGE),
        ({"identity": ("arrears",)}, Code.CATEGORY_CHANGE),
    ],
)
def test_a_category_is_not_changed_into_another_thing(
    network: Rulers, changes: dict[str, Any], code: Code
) -> None:
    value = category_with(network, **changes)
    got, data = network.propose("category", category=value, effective_from=network.day)
    assert Code(got) is code, data


def test_a_field_that_a_rule_reads_stays(network: Rulers) -> None:
    value: Any = decode(encode(network.state().get(CATEGORIES, b"C044")))
    line = next(item for item in value["schemas"] if item["name"] == "line")
    fields = tuple(item for item in line["fields"] if item["name"] != "net")
    fresh = dict(line) | {"version": 2, "fields": fields}
    changed = dict(value) | {"schemas": (*value["schemas"], fresh)}
    got, data = network.propose("category", category=changed, effective_from=network.day)
    assert Code(got) is Code.CATEGORY_CHANGE
    assert "company/1 would be refused" in data["error"]


@pytest.mark.parametrize(("days", "code"), [(729, Code.CATEGORY_CHANGE), (730, Code.OK)])
def test_records_are_kept_as_long_as_a_rule_looks_back(
    network: Rulers, days: int, code: Code
) -> None:
    value: Any = network.state().get(CATEGORIES, b"C044")
    kept = {"days": days, "ends": "", "field": "", "values": []}
    changed = dict(value) | {"retention": kept}
    got, data = network.decide("category", category=changed, effective_from=network.day)
    assert Code(got) is code, data
    if code is Code.CATEGORY_CHANGE:
        assert "schema company/1 would be refused" in data["error"]
        return
    assert network.ask("D02", "categories.list", category="C044")[0]["retention"]["days"] == days


@pytest.mark.parametrize(
    "changes", [{"ends": "net_amount"}, {"field": "period", "values": ["x"]}, {"values": ["x"]}]
)
def test_a_time_that_no_field_can_tell_is_refused(network: Rulers, changes: dict[str, Any]) -> None:
    value: Any = network.state().get(CATEGORIES, b"C044")
    kept = {"days": 900, "ends": "", "field": "", "values": []} | changes
    changed = dict(value) | {"retention": kept}
    got, _ = network.propose("category", category=changed, effective_from=network.day)
    assert Code(got) is Code.BODY_MALFORMED


@pytest.mark.parametrize("owner", ["self", "D99"])
def test_a_category_stays_a_members_own(network: Rulers, owner: str) -> None:
    value = category_with(network) | {"owner": owner}
    got, _ = network.propose("category", category=value, effective_from=network.day)
    assert Code(got) is Code.CATEGORY_CHANGE
    moved = category_with(network) | {"owner": "D20"}
    assert network.decide("category", category=moved, effective_from=network.day)[0] == Code.OK


def test_who_may_read_a_category_is_not_voted_on(network: Rulers) -> None:
    value = category_with(network) | {"access": "AUT"}
    got, _ = network.propose("category", category=value, effective_from=network.day)
    assert Code(got) is Code.CATEGORY_CHANGE


def test_a_new_category_takes_records_and_rules(network: Rulers) -> None:
    value = category_with(network) | {"id": "C999"}
    code, data = network.decide("category", category=value, effective_from=network.day)
    assert code == Code.OK, data
    assert network.ask("D02", "categories.list", category="C999")[0]["id"] == "C999"
    source = SALES_ALERT.replace(b"EW05", b"EW99").replace(b"C044/line", b"C999")
    source = source.replace(b"where = \"e.status == 'V'\"\n", b"").replace(b"e.net", b"e.arrears")
    network.adopt(source)
    assert network.status()["EW99/1"] == "in force"


def test_rates_are_set_once_and_count_for_some_days(network: Rulers) -> None:
    day = network.day
    rates = (("USD", day, 7_000_000), ("USD", day + 2, 7_100_000), ("JPY", day, 4_700_000))
    assert network.decide("rates", rates=rates)[0] == Code.OK
    state = network.state()
    assert [get_rate_ppm(state, "USD", day + n) for n in (-1, 0, 1, 2, 12, 13)] == [
        None,
        7_000_000,
        7_000_000,
        7_100_000,
        7_100_000,
        None,
    ]
    assert network.propose("rates", rates=(("USD", day, 1),))[0] == Code.RATE_EXISTS
    for bad in ((), (("CNY", day, 1),), (("USD", day, 0),), (("USD", day, 1), ("USD", day, 2)), 3):
        assert network.propose("rates", rates=bad)[0] == Code.BODY_MALFORMED
    shown = network.ask("D02", "rates.list", currency="USD", from_day=day, to_day=day + 9)
    assert shown["rates"] == ((day, 7_000_000), (day + 2, 7_100_000))


EXPORTS = b"""
format = "smartrule/1"
kind = "schema"
id = "exports"
version = 1
[feature."ex.sum"]
unit = "fen"
category = "C998"
agg = "sum"
field = "value"
days = 90
[feature."ex.last"]
unit = "fen"
category = "C998"
agg = "last"
field = "value"
days = 90
[feature."ex.cents"]
unit = "count"
category = "C998"
agg = "sum"
field = "value"
days = 90
"""


def exports_category() -> Any:
    value = field("value", "decimal", unit="USD 10k", scale=6)
    return category("C998", "D02", [schema("", [field("on", "date"), value], date_field="on")])


def test_foreign_money_is_converted_at_the_rate_of_its_day_or_is_missing(network: Rulers) -> None:
    exports = exports_category()
    assert network.decide("category", category=exports, effective_from=network.day)[0] == Code.OK
    network.adopt(EXPORTS)
    day = network.day
    sent = [(day - 2, 1_00), (day - 2, 50), (day - 1, 33), (day, -7)]
    records = [Record(SELLER, on, {"on": on, "value": cents}) for on, cents in sent]
    network.succeed(network.submit("D02", "C998", records))

    def facts() -> dict[str, Any]:
        state = network.state()
        found = RuleCache().over(state).schema("exports/1")
        computed = found.compute(day, CompanyWindows(state, SELLER))
        return {name: value for name, value in computed.items() if name != "as_of"}

    assert facts() == {"ex.cents": 176}
    rates = (("USD", day - 1, 7_123_456), ("USD", day, 7_000_000))
    assert network.decide("rates", rates=rates)[0] == Code.OK
    assert facts() == {"ex.cents": 176, "ex.last": -49}
    assert network.decide("rates", rates=(("USD", day - 5, 6_999_999),))[0] == Code.OK
    # 150 cents at 6.999999, 33 at 7.123456, -7 at 7: each day truncated toward zero.
    assert facts() == {"ex.cents": 176, "ex.last": -49, "ex.sum": 1_049 + 235 - 49}


def test_a_setting_changes_from_its_day_on_and_within_its_bounds(network: Rulers) -> None:
    day = network.day
    ask: dict[str, Any] = {"name": BACKFILL_RECORDS, "effective_from": day + 2}
    assert network.propose("setting", value=0, **ask)[0] == Code.SETTING_UNKNOWN
    assert network.propose("setting", value="10", **ask)[0] == Code.SETTING_UNKNOWN
    unknown: dict[str, Any] = {"name": "member_change_window", "effective_from": day}
    assert network.propose("setting", value=4, **unknown)[0] == Code.SETTING_UNKNOWN
    assert network.decide("setting", value=50, **ask)[0] == Code.OK
    state = network.state()
    assert [get_number(state, BACKFILL_RECORDS, day + n) for n in (1, 2)] == [2_000, 50]
    listed = network.ask("D02", "settings.list")["settings"]
    (shown,) = [item for item in listed if item["name"] == BACKFILL_RECORDS]
    assert (shown["value"], shown["changes"]) == (2_000, ((day + 2, 50),))


LIMIT: dict[str, Any] = {
    "id": "L90",
    "kind": "guarantee",
    "measure": "guaranteed",
    "base": "net_assets",
    "most": 100_000,
    "unit": "bp",
    "is_minimum": False,
    "is_hard": True,
    "supervisor": "D18",
    "text": "all guarantees, ten times net assets",
    "source": "a test",
    "is_verified": False,
}


def test_a_limit_counts_from_its_day_until_it_is_ended(network: Rulers) -> None:
    day = network.day
    code, data = network.decide("limit", limit=LIMIT, effective_from=day + 2)
    assert code == Code.OK, data
    assert network.decide("limit", limit=LIMIT | {"most": 5}, effective_from=day + 4)[0] == Code.OK
    ended: dict[str, Any] = {"class": "guarantee", "id": "L90"}
    assert network.decide("end_limit", effective_from=day + 6, **ended)[0] == Code.OK

    def most(on: int) -> list[int]:
        return [item.most for item in get_limits(network.state(), "guarantee", on)]

    found = [most(day + n) for n in (1, 2, 3, 4, 6)]
    assert found == [[], [100_000], [100_000], [5], []]
    assert network.propose("end_limit", effective_from=day, **ended)[0] == Code.BODY_MALFORMED
    assert network.propose("limit", limit=LIMIT, effective_from=day - 1)[0] == Code.RULE_DATE
    unknown = LIMIT | {"supervisor": "D99"}
    assert network.propose("limit", limit=unknown, effective_from=day)[0] == Code.MEMBER_UNKNOWN
    assert network.propose("limit", limit=7, effective_from=day)[0] == Code.BODY_MALFORMED


CHANGES: dict[str, dict[str, Any]] = {
    "rule": {"source": SCORECARD_2, "effective_from": TODAY},
    "end_alert": {"ref": "EW05/1", "last_day": TODAY},
    "rates": {"rates": (("USD", TODAY, 7),)},
    "setting": {"name": BACKFILL_RECORDS, "value": 10, "effective_from": TODAY},
    "limit": {"limit": LIMIT, "effective_from": TODAY},
    "end_limit": {"class": "guarantee", "id": "L90", "effective_from": TODAY},
    "category": {"category": exports_category(), "effective_from": TODAY, "accepted_until": None},
}


@pytest.fixture(scope="module")
def quiet() -> Rulers:
    return Rulers()


@pytest.mark.parametrize("kind", CHANGES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_bad_change_leaves_its_code_and_nothing_else(
    quiet: Rulers, kind: str, data: st.DataObject
) -> None:
    change: dict[str, Any] = {"kind": kind, **CHANGES[kind]}
    name = data.draw(st.sampled_from(sorted(change)))
    target = change
    while isinstance(target[name], dict) and data.draw(st.booleans()):
        target[name] = dict(target[name])
        target = target[name]
        name = data.draw(st.sampled_from(sorted(target)))
    target[name] = data.draw(VALUES)
    body = {"change": change, "expires_ms": quiet.head.time_ms + DAY_MS}
    executed = quiet.execute([quiet.sign("D01", "rule.propose", body)])
    code, result = executed.results[0]
    assert executed.notes.failures == []
    if code != Code.OK:
        assert isinstance(result, dict)
        assert set(result) == {"error"}
        assert executed.header.state_root == quiet.head.state_root


def test_a_step_with_nothing_to_do_writes_nothing(network: Rulers) -> None:
    state = Overlay(network.store)
    state.begin()
    rules = RuleCache().over(state)
    process_backfill(state, rules, ChainStore(network.store), network.day)
    state.commit()
    assert state.finish().writes == {}


def test_every_voter_is_a_member_with_a_node(network: Rulers) -> None:
    members = {item["id"]: item for item in network.ask("D02", "members.list")}
    assert [members[name]["standing"] for name in VOTERS] == ["validator"] * 4
