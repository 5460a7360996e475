"""Rules for the tests of lending: a schema, a scorecard, products of two banks, alerts."""

from __future__ import annotations

SCHEMA = b"""
format = "smartrule/1"
kind = "schema"
id = "company"
version = 1
[feature."co.sales_12m"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "net"
where = "e.status == 'V'"
days = 365
fresh_days = 45
[feature."co.sales_prior_12m"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "net"
where = "e.status == 'V'"
days = 365
offset_days = 365
[feature."co.arrears_12m"]
unit = "count"
category = "C048"
agg = "count"
days = 365
[feature."co.debt_outstanding"]
unit = "fen"
source = "ledger"
[feature."co.overdue_days_max_24m"]
unit = "days"
source = "ledger"
[feature."co.overdue_days"]
unit = "days"
source = "ledger"
[feature."rv.amount"]
unit = "fen"
source = "asset"
kind = "receivable"
[feature."rv.pledged"]
unit = "fen"
source = "asset"
kind = "receivable"
[feature."rv.confirmed"]
unit = "flag"
source = "asset"
kind = "receivable"
[feature."rv.invoice_verified"]
unit = "flag"
source = "asset"
kind = "receivable"
[feature."rv.due"]
unit = "date"
source = "asset"
kind = "receivable"
[feature."rv.wishful"]
unit = "fen"
source = "asset"
[feature."pt.pledged"]
unit = "flag"
source = "asset"
kind = "patent"
[feature."pt.legal_status"]
unit = "text"
source = "asset"
kind = "patent"
category = "C028"
key = "patent_no"
field = "legal_status"
[feature."ap.amount"]
unit = "fen"
source = "application"
[feature."ap.term"]
unit = "days"
source = "application"
min = 1
max = 3650
[feature."ap.seats"]
unit = "count"
source = "application"
min = 0
max = 9
"""

SCORECARD = b"""
format = "smartrule/1"
kind = "scorecard"
id = "SME"
version = 1
schema = "company/1"
initial = 400
max_reasons = 4
max_missing = 3
[[characteristic]]
id = "SALES"
input = "math.greatest(co.sales_12m, yuan(0))"
baseline = 90
reason = "S01"
missing_reason = "S91"
text = "Low sales in the last twelve months"
bands = [["CNY 0.00", 0], ["CNY 500000.00", 40], ["CNY 2000000.00", 90]]
missing = 0
[[characteristic]]
id = "OVERDUE"
input = "co.overdue_days_max_24m"
baseline = 80
reason = "S02"
missing_reason = "S92"
text = "Repayments past due"
bands = [[0, 80], [1, 40], [31, 0]]
missing = 0
"""

_TAIL = """
[rate]
on = "score"
bands = [[0, "DECLINE", "R301"], [420, "7.20%"], [560, "5.50%"]]
"""


def supply_chain(lender: str = "ICBC", version: int = 1, extra: str = "") -> bytes:
    """Return the supply-chain product of a lender; `extra` is put before its conditions."""
    return f"""
format = "smartrule/1"
kind = "product"
id = "SCF-{lender}"
version = {version}
name = "Supply-chain finance"
lender = "{lender}"
line = "supply_chain"
schema = "company/1"
scorecard = "SME/1"
effective_from = 2020-01-01
requires = ["C044"]
asset = "receivable"
{extra}
[params]
max_limit    = "CNY 3000000.00"
advance_rate = "80.00%"
[[condition]]
id = "confirmed"
when = "rv.confirmed && rv.invoice_verified"
reason = "R101"
text = "Not confirmed, or its invoice not verified"
[[condition]]
id = "term"
when = "ap.term <= rv.due - as_of + days(30)"
reason = "R104"
text = "The loan would outlive the receivable"
[[condition]]
id = "arrears"
when = "co.overdue_days_max_24m <= days(30)"
reason = "R201"
text = "Overdue"
[[condition]]
id = "sales"
when = "co.sales_12m >= yuan(500000)"
reason = "R202"
text = "Sales under CNY 500,000"
[limit]
amount = "math.least(mul_bp(rv.amount, p.advance_rate) - rv.pledged, p.max_limit)"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R110"
text = "Nothing left to lend"
{_TAIL}""".encode()


def patent_loan(requires: str = '"C044"', when: str = "!pt.pledged") -> bytes:
    """Return CCB's product on a patent."""
    return f"""
format = "smartrule/1"
kind = "product"
id = "IPP"
version = 1
name = "Loan on a patent"
lender = "CCB"
line = "intellectual_property"
schema = "company/1"
scorecard = "SME/1"
effective_from = 2020-01-01
requires = [{requires}]
asset = "patent"
[[condition]]
id = "title"
when = "pt.legal_status == 'valid' && {when}"
reason = "R141"
text = "Not valid or pledged"
[limit]
amount = "yuan(200000)"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R146"
text = "Nothing to lend"
{_TAIL}""".encode()


def credit_line(
    effective_from: str = "2020-01-01", version: int = 1, limit: int = 300_000
) -> bytes:
    """Return ICBC's unsecured product, which asks the applicant for a fact of its own."""
    return f"""
format = "smartrule/1"
kind = "product"
id = "LINE"
version = {version}
name = "Credit line"
lender = "ICBC"
line = "credit"
schema = "company/1"
scorecard = "SME/1"
effective_from = {effective_from}
requires = ["C044"]
[[condition]]
id = "seats"
when = "ap.seats <= 5"
reason = "R150"
text = "Too many seats"
[[condition]]
id = "overdue"
when = "co.overdue_days == days(0)"
reason = "R151"
text = "Overdue now"
[limit]
amount = "yuan({limit}) - co.debt_outstanding"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R152"
text = "Nothing left to lend"
{_TAIL}""".encode()


SALES_ALERT = b"""
format = "smartrule/1"
kind = "alert"
id = "EW05"
version = 1
name = "Sales fell by half"
severity = "orange"
reason = "A105"
text = "Sales of the last 90 days are at most half of the 90 days before"
when = "w.before >= yuan(5000) && w.now * 2 <= w.before"
raise_after = 1
clear_after = 1
repeat_days = 30
[[window]]
name = "now"
stream = "C044/line"
where = "e.status == 'V'"
agg = "sum"
field = "e.net"
unit = "fen"
days = 90
max_events = 512
[[window]]
name = "before"
stream = "C044/line"
where = "e.status == 'V'"
agg = "sum"
field = "e.net"
unit = "fen"
days = 90
offset_days = 90
max_events = 512
"""

OVERDUE_ALERT = b"""
format = "smartrule/1"
kind = "alert"
id = "EW01"
version = 1
name = "Loan overdue"
schema = "company/1"
severity = "yellow"
reason = "A101"
text = "A loan of this ledger is past due"
when = "co.overdue_days > days(0)"
raise_after = 1
clear_after = 1
repeat_days = 30
"""

RULES = (SCHEMA, SCORECARD, SALES_ALERT, OVERDUE_ALERT)
