"""Prudential limits after random steps equal what a naive twin computes from the loans alone."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import Code
from ledger.lending.limits.limits import (
    GENESIS_SETTING,
)
from ledger.storage.memory import MemoryStore
from tests.lending.province import BUYER, OTHER, Province
from tests.lending.test_limits import LIMITS, Supervised


def draw(province: Supervised, company: str, fen: int) -> list[str]:
    """Lend, half of it guaranteed, if the product grants it now; return the loan."""
    wish = {"company": company, "product": "LINE/1", "amount_fen": fen, "term_days": 30}
    wish["declared"] = {"ap.seats": 1}
    code, data = province.run(province.sign(company, "loan.apply", wish))
    if code != Code.OK or data["outcome"] != "GRANT":
        return []
    named = {"application": data["application"]}
    province.do("ICBC", "loan.ask_guarantee", guarantor="PAB", **named)
    province.do("PAB", "loan.guarantee", amount_fen=fen // 2, **named)
    province.do(company, "loan.accept", **named)
    return [str(province.do("ICBC", "loan.disburse", **named)["loan"])]


def apply_step(province: Supervised, loans: list[str], step: tuple[str, int, int]) -> None:
    """Do one thing with the loans; what the ledger refuses does not matter here."""
    what, which, fen = step
    company = (OTHER, BUYER)[which % 2]
    if what == "draw":
        loans += draw(province, company, fen)
    elif what == "report":
        province.report("ICBC", fen * 5, balances={"loans": fen})
        province.report("PAB", fen * 5)
    elif what == "group":
        group = {"group": "both"} if which % 2 else {}
        province.do("D18", "group.declare", companies=(OTHER, BUYER), **group)
    elif loans:
        loan = loans[which % len(loans)]
        steps: dict[str, tuple[str, dict[str, Any]]] = {
            "repay": ("loan.repay", {"amount_fen": fen}),
            "default": ("loan.default", {}),
            "lose": ("loan.write_off", {"reason": "gone"}),
            "claim": ("loan.claim", {}),
            "cover": ("loan.pay_claim", {"amount_fen": fen // 4}),
        }
        kind, more = steps[what]
        sender = "PAB" if what == "cover" else "ICBC"
        province.run(province.sign(sender, kind, {"loan": loan, **more}))


STEPS = st.tuples(
    st.sampled_from(
        ("draw", "draw", "draw", "repay", "default", "claim", "cover", "lose", "report", "group",
         "wait")
    ),
    st.integers(0, 5),
    st.integers(100_000, 3_000_000),
)  # fmt: skip


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(steps=st.lists(STEPS, min_size=5, max_size=12))
def test_limits_equal_a_naive_twin(steps: list[tuple[str, int, int]]) -> None:
    """After any sequence: exposures are sums over the loans, breaches what those sums say."""
    province, loans = twin(), list[str]()
    for step in steps:
        if step[0] == "wait":
            province.advance_days(40)
        else:
            apply_step(province, loans, step)
        province.compare(loans)


class Twin(Supervised):
    """A province with the hard limit watched only, compared with sums over its loans."""

    settings: Mapping[str, Any] = {
        **Province.settings,
        GENESIS_SETTING: encode(tuple(item | {"is_hard": False} for item in LIMITS)),
    }

    def __init__(self) -> None:
        super().__init__()
        self.sell(OTHER)
        self.sell(BUYER)

    def compare(self, loans: list[str]) -> None:
        """Check exposures and breaches against what the loans say."""
        shown = [self.ask("D18", "loan.show", loan=loan) for loan in loans]
        for item in shown:
            item["stood_for_fen"] = min(item["guaranteed_fen"], item["outstanding_fen"])
        grouped = len(self.ask("D18", "exposure.group", company=OTHER)["companies"]) > 1
        groups = [(OTHER, BUYER)] if grouped else [(OTHER,), (BUYER,)]
        for who, party, sums in (
            ("ICBC", "BORROWER", _sums(shown, "outstanding_fen")),
            ("PAB", "PARTY", _sums(shown, "stood_for_fen")),
        ):
            limits = self.limits(who)
            prefix = "ML" if who == "ICBC" else "FG"
            net = self.ask("D18", "institution.show", institution=who)["latest"]
            net_fen = None if net is None else net["net_assets_fen"]
            by_party = {name: fen for name, fen in sums.items() if _is_over(fen, 1_000, net_fen)}
            assert _subjects(limits[f"{prefix}-{party}"]) == set(by_party)
            by_group = {
                min(group): sum(sums.get(company, 0) for company in group) for group in groups
            }
            over = {name for name, fen in by_group.items() if _is_over(fen, 1_500, net_fen)}
            assert _subjects(limits[f"{prefix}-GROUP"]) == over
        total_fen = self.ask("D18", "exposure.show", lender="ICBC")["outstanding_fen"]
        assert total_fen == sum(item["outstanding_fen"] for item in shown)
        naive = _sums(shown, "outstanding_fen")
        for company in (OTHER, BUYER):
            owed = self.ask("D18", "exposure.show", company=company)
            assert owed["outstanding_fen"] == naive.get(company, 0)


@lru_cache(maxsize=1)
def _first_twin() -> Twin:
    return Twin()


def twin() -> Twin:
    """Return a province as it begins, made once."""
    first = _first_twin()
    made = copy(first)
    made.store = MemoryStore(dict(first.store.scan(b"", b"\xff")))
    return made


def _sums(loans: list[dict[str, Any]], name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in loans:
        found[item["company"]] = found.get(item["company"], 0) + item[name]
    return found


def _is_over(fen: int, most_bp: int, net_fen: int | None) -> bool:
    return net_fen is not None and fen * 10_000 > most_bp * net_fen


def _subjects(shown: dict[str, Any]) -> set[str]:
    return {item["subject"] for item in shown["breaches"]}
