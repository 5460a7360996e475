"""Documents and record schemas that several tests share."""

from __future__ import annotations

from ledger.rules.aggregates import EventField, EventTypes
from ledger.rules.units import Unit

GRADES = frozenset({"A", "B", "M", "C", "D"})

EVENTS: EventTypes = {
    "C040": {
        "tax_type": EventField(Unit.TEXT),
        "paid_amount": EventField(Unit.FEN),
        "treasury_date": EventField(Unit.DATE),
    },
    "C044/line": {
        "number": EventField(Unit.TEXT),
        "issued": EventField(Unit.DATE),
        "buyer": EventField(Unit.TEXT),
        "net": EventField(Unit.FEN),
        "status": EventField(Unit.TEXT, frozenset({"V", "X"})),
    },
    "C047": {
        "grade": EventField(Unit.TEXT, GRADES),
        "score": EventField(Unit.COUNT),
        "evaluated_on": EventField(Unit.DATE),
    },
    "C028": {
        "patent_no": EventField(Unit.TEXT),
        "legal_status": EventField(Unit.TEXT, frozenset({"valid", "lapsed", "invalidated"})),
    },
}

SCHEMA = """format = "smartrule/1"
kind = "schema"
id = "company"
version = 7
[feature."co.sales_12m"]
unit = "fen"
category = "C044"
schema = "line"
agg = "sum"
field = "net"
where = "e.status == 'V'"
days = 365
fresh_days = 45
min = 0
max = 100_000_000_000_000
[feature."co.invoices_12m"]
unit = "count"
category = "C044"
schema = "line"
agg = "count"
days = 365
[feature."co.void_12m"]
unit = "count"
category = "C044"
schema = "line"
agg = "count"
where = "e.status == 'X'"
days = 365
[feature."co.void_rate"]
unit = "bp"
agg = "ratio_bp"
of = ["co.void_12m", "co.invoices_12m"]
[feature."co.top_buyer_12m"]
unit = "fen"
category = "C044"
schema = "line"
agg = "top"
field = "net"
by = "buyer"
where = "e.status == 'V'"
days = 365
[feature."co.buyers_12m"]
unit = "count"
category = "C044"
schema = "line"
agg = "distinct"
field = "buyer"
days = 365
[feature."co.last_sale_on"]
unit = "date"
category = "C044"
schema = "line"
agg = "max"
field = "issued"
[feature."co.days_since_sale"]
unit = "days"
agg = "days_since"
of = ["co.last_sale_on"]
[feature."co.tax_grade"]
unit = "text"
category = "C047"
agg = "last"
field = "grade"
[feature."co.overdue_days_max_24m"]
unit = "days"
source = "ledger"
min = 0
max = 3650
[feature."rv.amount"]
unit = "fen"
source = "asset"
kind = "receivable"
min = 0
max = 100_000_000_000_000
[feature."rv.confirmed"]
unit = "flag"
source = "asset"
kind = "receivable"
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
min = 0
max = 100_000_000_000_000
[feature."ap.term"]
unit = "days"
source = "application"
min = 1
max = 3650
"""

SCORECARD = """format = "smartrule/1"
kind = "scorecard"
id = "SME-RISK"
version = 2
schema = "company/7"
initial = 300
max_reasons = 2
max_missing = 1
[[characteristic]]
id = "SALES"
input = "co.sales_12m"
baseline = 100
reason = "S01"
missing = 0
missing_reason = "S91"
bands = [["CNY 0.00", 0], ["CNY 500000.00", 50], ["CNY 1000000.00", 100]]
[[characteristic]]
id = "GRADE"
input = "co.tax_grade"
baseline = 100
reason = "S02"
missing = 10
missing_reason = "S92"
table = { A = 100, B = 80, M = 60, C = 20, D = 0 }
[[characteristic]]
id = "VOID"
input = "co.void_rate"
baseline = 100
reason = "S03"
missing = 20
missing_reason = "S93"
bands = [["0.00%", 100], ["15.00%", 40], [2000, 0]]
"""

PRODUCT = """format = "smartrule/1"
kind = "product"
id = "GD-SCF-0042"
version = 3
lender = "icbc-gd"
line = "supply_chain"
schema = "company/7"
scorecard = "SME-RISK/2"
effective_from = 2020-01-01
requires = ["C044"]
asset = "receivable"
[params]
max_limit    = "CNY 3000000.00"
advance_rate = "80.00%"
max_term     = "365 days"
[[condition]]
id = "confirmed"
when = "rv.confirmed"
reason = "R101"
text = "The debtor has not confirmed the receivable"
[[condition]]
id = "arrears"
when = "co.overdue_days_max_24m <= days(30)"
reason = "R201"
text = "More than 30 days overdue in the last 24 months"
[[condition]]
id = "term"
when = "ap.term <= p.max_term"
reason = "R104"
text = "The loan runs too long"
[limit]
amount = "math.least(mul_bp(rv.amount, p.advance_rate), p.max_limit)"
step = "CNY 1000.00"
minimum = "CNY 10000.00"
reason = "R110"
[rate]
on = "score"
bands = [[0, "DECLINE", "R301"], [420, "7.20%"], [500, "6.10%"], [580, "5.50%"]]
"""

ALERT = """format = "smartrule/1"
kind = "alert"
id = "EW-TAX-DROP"
version = 1
severity = "orange"
reason = "A201"
text = "VAT paid has halved"
when = "w.prev >= yuan(50000) && w.now * 2 < w.prev"
raise_after = 1
clear_after = 2
repeat_days = 30
[[window]]
name = "now"
stream = "C040"
where = "e.tax_type == 'VAT'"
agg = "sum"
field = "e.paid_amount"
unit = "fen"
days = 90
max_events = 512
[[window]]
name = "prev"
stream = "C040"
where = "e.tax_type == 'VAT'"
agg = "sum"
field = "e.paid_amount"
unit = "fen"
days = 90
offset_days = 90
max_events = 512
"""
