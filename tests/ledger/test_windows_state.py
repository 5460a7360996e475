"""Windows in the state against a naive model: any order, duplicates, conflicts, corrections."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.day_keys import day_key, day_of_key
from ledger.credit.profile import compute_features
from ledger.credit.rulebook import RuleCache
from ledger.credit.windows_state import CompanyWindows
from ledger.transactions.records import Record, encode_record, record_digest
from tests.ledger_harness import GENESIS_DAY, SALT, Harness, company_code

COMPANY = company_code(1)
SCHEMA = b"""
format = "smartrule/1"
kind = "schema"
id = "company"
version = 1

[feature."co.sales"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "net"
where = "e.status == 'V'"
days = 90

[feature."co.sales_before"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "net"
where = "e.status == 'V'"
days = 90
offset_days = 90

[feature."co.lines"]
unit = "count"
category = "C044"
schema = "line"
agg = "count"

[feature."co.buyers"]
unit = "count"
category = "C044"
schema = "line"
agg = "distinct"
field = "counterparty"
days = 365

[feature."co.top_buyer"]
unit = "fen"
category = "C044"
schema = "line"
agg = "top"
field = "net"
by = "counterparty"
days = 365

[feature."co.largest"]
unit = "fen"
category = "C044"
schema = "line"
agg = "max"
field = "net"
days = 365

[feature."co.last_net"]
unit = "fen"
category = "C044"
schema = "line"
agg = "last"
field = "net"
days = 365
"""

LINES = st.tuples(
    st.integers(1, 4),  # number
    st.integers(GENESIS_DAY - 200, GENESIS_DAY),
    st.sampled_from(["B1", "B2", "B3"]),
    st.integers(-500, 500),
    st.sampled_from("VVVX"),
    st.booleans(),  # corrects what is current under its number and day, when there is such
)


def make(number, day, buyer, net, status, supersedes=None):
    fields = {
        "invoice_no": f"{number:08d}",
        "issued_on": day,
        "counterparty": buyer,
        "net": net,
        "tax": 0,
        "gross": net,
        "status": status,
    }
    return Record(COMPANY, day, fields, None, supersedes, SALT)


class Model:
    """What a person with a list of records would keep."""

    def __init__(self):
        self.kept = []  # [record, is_current]
        self.seen = set()

    def add(self, record):
        content = (repr(sorted(record.fields.items())), record.supersedes)
        if content in self.seen:
            return
        self.seen.add(content)
        if record.supersedes is not None:
            for entry in self.kept:
                if reference(entry[0]) == record.supersedes:
                    entry[1] = False
        same = (record.day, record.fields["invoice_no"])
        is_conflict = any(
            current and (other.day, other.fields["invoice_no"]) == same
            for other, current in self.kept
        )
        self.kept.append([record, not is_conflict])

    def current(self):
        return [record for record, is_current in self.kept if is_current]

    def find(self, number, day):
        for record in self.current():
            if record.day == day and record.fields["invoice_no"] == f"{number:08d}":
                return record
        return None

    def facts(self, as_of):
        records = self.current()

        def within(days, offset=0):
            low, high = as_of - offset - days, as_of - offset
            return [r for r in records if low < r.day <= high]

        year = within(365)
        groups = {}
        for record in year:
            buyer = record.fields["counterparty"]
            groups[buyer] = groups.get(buyer, 0) + record.fields["net"]
        facts = {
            "co.sales": total(within(90)),
            "co.sales_before": total(within(90, 90)),
            "co.lines": len(records),
            "co.buyers": len(groups),
        }
        if year:
            facts["co.top_buyer"] = max(groups.values())
            facts["co.largest"] = max(r.fields["net"] for r in year)
            order = {id(record): place for place, (record, _) in enumerate(self.kept)}
            latest = max(year, key=lambda r: (r.day, order[id(r)]))
            facts["co.last_net"] = latest.fields["net"]
        return facts


def total(records):
    return sum(r.fields["net"] for r in records if r.fields["status"] == "V")


def reference(record):
    return record.day, record_digest(encode_record(record))


def read_facts(chain):
    state = chain.state()
    rules = RuleCache().over(state)
    facts = compute_features(state, rules, COMPANY, "company/1", None, chain.day)
    assert facts.pop("as_of") == chain.day
    return facts


def assert_agrees(facts, model, as_of):
    want = model.facts(as_of)
    for name in ("co.top_buyer", "co.largest", "co.last_net"):
        if name not in want:
            facts.pop(name, None)  # nothing in an attested window: zero or missing, by the language
    assert facts == want


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(LINES, min_size=1, max_size=6), max_size=5))
def test_records_in_any_order_give_the_windows_of_the_naive_model(batches):
    chain = Harness([SCHEMA])
    model = Model()
    chain.run(chain.attest("D02", "C044", (COMPANY,), -25_000, GENESIS_DAY, "line"))
    for batch in batches:
        records = []
        for number, day, buyer, net, status, corrects in batch:
            found = model.find(number, day) if corrects else None
            record = make(number, day, buyer, net, status, found and reference(found))
            records.append(record)
            model.add(record)
        code, data = chain.run(chain.submit("D02", "C044", records, "line"))
        assert code == 0, data
        assert_agrees(read_facts(chain), model, chain.day)


def test_late_record_counts_in_the_window_of_its_own_day():
    chain = Harness([SCHEMA])
    chain.run(chain.attest("D02", "C044", (COMPANY,), 0, GENESIS_DAY, "line"))
    chain.run(chain.submit("D02", "C044", [make(1, GENESIS_DAY, "B1", 5, "V")], "line"))
    chain.run(chain.submit("D02", "C044", [make(2, GENESIS_DAY - 100, "B1", 7, "V")], "line"))
    facts = read_facts(chain)
    assert (facts["co.sales"], facts["co.sales_before"]) == (5, 7)


def test_window_moves_with_chain_time():
    chain = Harness([SCHEMA])
    chain.run(chain.submit("D02", "C044", [make(1, GENESIS_DAY, "B1", 5, "V")], "line"))
    chain.advance_days(90)
    assert read_facts(chain)["co.sales_before"] == 5


def test_empty_window_is_zero_only_when_attested():
    chain = Harness([SCHEMA])
    assert "co.sales" not in read_facts(chain)
    chain.run(chain.attest("D02", "C044", (COMPANY,), GENESIS_DAY - 89, GENESIS_DAY, "line"))
    facts = read_facts(chain)
    assert facts["co.sales"] == 0
    assert "co.sales_before" not in facts


@given(st.lists(st.integers(-25_567, 84_006)))
def test_day_keys_sort_as_days(days):
    assert [day_of_key(key) for key in sorted(map(day_key, days))] == sorted(days)


def test_reader_loads_wider_ranges_when_asked():
    chain = Harness([SCHEMA])
    days = [GENESIS_DAY - 40 * n for n in range(20)]
    records = [make(n, day, "B1", 1, "V") for n, day in enumerate(days)]
    chain.run(chain.submit("D02", "C044", records, "line"))
    state = chain.state()
    stream = RuleCache().over(state).schema("company/1").features["co.sales"].stream
    windows = CompanyWindows(state, COMPANY)
    for low, high in ((days[2], days[1]), (days[9], days[5]), (0, days[0]), (days[3], days[3])):
        found = [day for day, _ in windows.buckets(stream, low, high)]
        assert found == [day for day in reversed(days) if low <= day <= high]
