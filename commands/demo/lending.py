"""Steps 3 and 4: products, authorisations, applications decided by rule, and an alert.

Who applies for what comes from the plan (`plan.json`); no name and no amount stands here. What a
case must come to is in the plan's words: `declined`, `referred`, anything else is to be granted
less than was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.demo.stage import Stage, StepFailed, find
from commands.values import amount as show_amount
from commands.values import parse_amount

REGISTRAR = "D01"
REGULATOR = "D18"
TAX = "D02"
_OUTCOMES = {"declined": "DECLINE", "referred": "REFER"}
# Kinds of assets that somebody owes: the debtor confirms them.
_CLAIMS = frozenset({"receivable", "invoice"})

Plan = Mapping[str, Any]


def register_products(stage: Stage, plan: Plan) -> None:
    """Register every product of the plan as the lender that it names."""
    lenders = {case["product"].partition("/")[0]: case["lender"] for case in plan["applications"]}
    for path in plan["products"]:
        answer = stage.ask("product", "check", path)
        lender = lenders[str(answer["product"]).partition("/")[0]]
        stage.run("product", "register", path, "--as", lender)


def apply_for_loans(stage: Stage, plan: Plan) -> None:
    """Take each application from authorisation to decision, and what is granted to a loan."""
    assets: dict[str, str] = {}
    for case in plan["applications"]:
        stage.say(f"\n-- {case['case']}: {case['name']}")
        _open_account(stage, case["company"], case["name"])
        _authorise(stage, case)
        if case["asset"] is not None:
            assets[case["case"]] = _register_asset(stage, plan, case)
        output = _apply(stage, case, assets.get(case["case"]))
        want = _OUTCOMES.get(case["case"], "GRANT")
        if find(r"decision +(\w+)", output) != want:
            raise StepFailed(f"{case['case']}: the decision is not {want}")
        if want == "GRANT":
            _draw(stage, case, find(r"application +([0-9a-f]{64})", output))
    _pledge_again(stage, plan, assets)


def _open_account(stage: Stage, company: str, name: str) -> None:
    if (stage.net / "clients" / company).exists():
        return
    stage.run("keys", "new", "company", company, "--via", REGISTRAR, "--no-password")
    stage.run("company", "bind", company, "--name", name, "--as", REGISTRAR)


def _authorise(stage: Stage, case: Plan) -> None:
    categories = ",".join(case["categories"])
    who = (case["company"], case["lender"])
    terms = ("--categories", categories, "--product", case["product"])
    stage.run("consent", "grant", *who, *terms, "--as", case["company"])


def _register_asset(stage: Stage, plan: Plan, case: Plan) -> str:
    """Register the asset of a case and have its debtor confirm it; return its id."""
    asset = case["asset"]
    options = _asset_options(asset, asset["kind"])
    output = stage.run("asset", "register", case["company"], *options, "--as", case["company"])
    made = find(r"asset ([0-9a-f]{32})", output)
    if asset["kind"] in _CLAIMS:
        debtor = asset["counterparty"]
        names = {company["code"]: company["name"] for company in plan["companies"]}
        if debtor in names:
            _open_account(stage, debtor, names[debtor])
        # A debtor without a key of its own stands at the registrar's counter.
        stage.run("asset", "confirm", made, "--as", debtor if debtor in names else REGISTRAR)
    return made


def _asset_options(asset: Plan, kind: str) -> list[str]:
    options = ["--kind", kind, "--document", asset["document"], "--day", asset["day"]]
    for name in ("due", "counterparty", "amount"):
        if name in asset:
            options += [f"--{name}", asset[name]]
    return options


def _apply(stage: Stage, case: Plan, asset: str | None) -> str:
    terms = ["--amount", case["amount"], "--days", str(case["term_days"])]
    if asset is not None:
        terms += ["--asset", asset]
    company, product = case["company"], case["product"]
    output = stage.run("loan", "apply", company, product, *terms, "--as", company)
    latency = find(r"certified after (\d+ ms)", output)
    decision = find(r"decision +(\w+)", output)
    if decision == "GRANT":
        amount = find(r"amount +([0-9,.]+)", output)
        if parse_amount(amount) >= parse_amount(case["amount"]):
            raise StepFailed(f"{case['case']}: all that was asked was granted")
        decision = f"granted {amount} of {show_amount(parse_amount(case['amount']))} asked"
    codes = re.findall(r"^(R\d+) ", output, re.MULTILINE)
    if codes:
        decision += f" ({', '.join(codes)})"
    stage.note(f"{case['case']}: {case['name']}", f"{decision}, certified receipt in {latency}")
    return output


def _draw(stage: Stage, case: Plan, application: str) -> None:
    stage.run("loan", "accept", application, "--as", case["company"])
    stage.run("loan", "disburse", application, "--as", case["lender"])
    receipt = Path(stage.net) / "receipts" / f"{case['lender']}.receipt"
    stage.run("receipt", application, "--out", receipt, "--as", case["lender"])
    stage.run("verify", receipt)


def _pledge_again(stage: Stage, plan: Plan, assets: Mapping[str, str]) -> None:
    """Offer the first case's receivable to another bank, as another kind: it must be refused."""
    second = plan["second_pledge"]
    case = next(item for item in plan["applications"] if item["case"] == second["case"])
    stage.say(f"\n-- the same paper once more, as {second['kind']}, to {second['lender']}")
    options = _asset_options(case["asset"], second["kind"])
    output = stage.run("asset", "register", case["company"], *options, "--as", case["company"])
    made = find(r"asset ([0-9a-f]{32})", output)
    if made == assets[second["case"]]:
        raise StepFailed("the second registration gave the first one's id")
    refused = stage.run("asset", "pledge", made, "--as", second["lender"], want=(1,))
    if "E2303" not in refused or case["lender"] in refused:
        raise StepFailed(
            "the second pledge was not refused as already pledged, or names who has it"
        )
    stage.note("second pledge of the same receivable", "refused with E2303, the lender not named")


def raise_alert(stage: Stage, plan: Plan, data: Path) -> None:
    """Submit the records that fall off a cliff, and look at what the regulator sees."""
    cliff = plan["cliff"]
    company = cliff["company"]
    files = (data / cliff["file"], "--map", data / cliff["map"])
    stage.run("submit", *files, "--as", cliff["member"])
    stage.run("alerts", "list", "--company", company, "--as", REGULATOR)
    alerts = stage.ask("alerts", "list", "--company", company, "--as", REGULATOR)
    found = [item for item in alerts if str(item["rule"]).startswith(cliff["alert"])]
    if not found:
        raise StepFailed(f"{cliff['alert']} was not raised on {company}")
    stage.run("alerts", "ack", found[0]["alert"], "--as", REGULATOR)
    stage.note(f"alert on {cliff['name']}", f"{found[0]['rule']}, {found[0]['severity']}")
