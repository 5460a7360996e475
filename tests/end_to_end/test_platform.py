"""The rules of credit changed by vote on real nodes, limits watched, and the stream of alerts.

One story on one network of four nodes, typed as commands: a category gets a new version, a limit is
tightened and ended again, an alert is adopted; what they raise is followed from a cursor, over the
death of the follower's node, with no alert missed and none seen twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.frame import Exit
from commands.local.local_network import DEMO_CONSORTIUM
from tests.end_to_end.province import Province

LENDER = "pab-gd"  # a micro-loan company here, and without a node
RULES = DEMO_CONSORTIUM.parents[1] / "networks/guangdong/rules"
TODAY = "2020-01-10"


class Story:
    """Types commands at the network, and keeps what later parts ask for."""

    def __init__(self, province: Province, folder: Path) -> None:
        self.province = province
        self.folder = folder

    def run(self, *arguments: object) -> str:
        """Run a command that must do its work."""
        result = self.province.command(*arguments)
        assert result.exit_code == Exit.OK, f"{arguments}: {result.output} {result.stderr}"
        return result.output

    def refuse(self, code: int, *arguments: object) -> str:
        """Run a command that must be refused with a number; return its sentence."""
        result = self.province.command(*arguments)
        assert result.exit_code == Exit.REFUSED, result.output
        assert f"E{code}" in result.stderr, result.stderr
        return result.stderr

    def ask(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def adopt(self, *arguments: object) -> None:
        """Propose as D18, and let two others make the quorum of four."""
        proposed = self.ask("rule", *arguments, "--from", TODAY, "--as", "D18")
        number = proposed["result"]["number"]
        self.province.check_well()  # each node asked for the number knows it
        self.run("rule", "approve", number, "--as", "D01")
        said = self.run("rule", "approve", number, "--as", "D02")
        assert f"proposal {number} is decided" in said

    def report(self, bonds: str) -> None:
        """Let the lender report CNY 100 million of net assets and some of bonds."""
        figures = ("--net-assets", "100,000,000.00", "--total-assets", "900,000,000.00")
        more = ("--capital", "50,000,000.00", "--funds", "1.00", "--balance")
        self.run("institution", "report", *figures, *more, f"bonds_and_abs={bonds}", "--as", LENDER)
        self.province.check_well()  # whichever node is asked next has it

    def limit(self, name: str) -> dict[str, Any]:
        """Return one limit of the lender and its use, {} when it is in force no more."""
        shown = self.ask("exposure", "limits", LENDER, "--as", "D18")["limits"]
        return next((dict(item) for item in shown if item["id"] == name), {})

    def alerts(self) -> list[str]:
        return [item["alert"] for item in self.ask("alerts", "list", "--as", "D18")]

    def watch(self, count: int, *more: object) -> list[dict[str, Any]]:
        """Follow the alerts until so many have come."""
        text = self.run("alerts", "watch", "--count", count, *more, "--as", "D18", "--json")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Four nodes; the lender of the story belongs to a supervisory class."""
    folder = tmp_path_factory.mktemp("platform")
    text = DEMO_CONSORTIUM.read_text(encoding="utf-8")
    consortium = folder / "consortium.toml"
    line = f'id = "{LENDER}"\n'
    consortium.write_text(text.replace(line, line + 'kind = "micro_loan"\n'), encoding="utf-8")
    province = Province.start(folder / "net", consortium)
    try:
        yield Story(province, folder)
    finally:
        province.stop()


ARREARS = """tax_type,arrears_balance,current_arrears,announced_on,announcing_authority,\
company{more}
VAT,1000.00,10.00,{day},Tax bureau,{company}{value}
"""


def submit_arrears(story: Story, company: str, day: str, days_late: int | None = None) -> None:
    more, value = ("", "") if days_late is None else (",days_late", f",{days_late}")
    text = ARREARS.format(company=company, day=day, more=more, value=value)
    file = story.write(f"arrears-{company}-{day}.csv", text)
    said = story.run("submit", file, "--category", "C048", "--as", "D02")
    assert "1 accepted" in said


def test_a_category_gets_a_version_and_old_records_stay_readable(story: Story) -> None:
    company = story.province.new_company()[0]
    submit_arrears(story, company, "2020-01-05")
    category = story.ask("rule", "show", "category", "C048")
    (old,) = category["schemas"]
    late = {"name": "days_late", "type": "int", "minimum": 0}
    category["schemas"].append({**old, "version": 2, "fields": [*old["fields"], late]})
    story.adopt("category", story.write("C048.json", json.dumps(category)))
    submit_arrears(story, company, "2020-01-06", days_late=17)
    story.province.check_well()
    story.refuse(
        8003, "submit", story.write("x.csv", "company\n"), "--category", "C999", "--as", "D02"
    )
    shown = story.run("company", "records", company, "C048", "--as", "icbc-gd")
    first, second = (line.split() for line in shown.splitlines() if " VAT " in line)
    assert (first[4], first[-1], second[4], second[-1]) == ("1,000.00", "-", "1,000.00", "17")


def test_a_limit_is_tightened_watched_to_the_fen_and_ended(story: Story) -> None:
    name = "ML-BONDS"
    story.report("100,000,000.00")
    row = story.limit(name)
    assert (row["most"], row["status"]) == (40_000, "kept")
    story.adopt("limit", story.write("limit.json", json.dumps({**row, "most": 10_000})))
    story.report("100,000,000.00")
    assert story.limit(name)["status"] == "kept"  # all of it, and not a fen more
    story.report("100,000,000.01")
    broken = story.limit(name)
    assert (broken["status"], len(broken["breaches"])) == ("breached", 1)
    alert = broken["breaches"][0]["alert"]
    assert [item["alert"] for item in story.watch(1)] == [story.alerts()[0]]
    assert alert in story.alerts()
    for stranger in ("icbc-gd", "ccb-gd"):
        assert alert not in json.dumps(story.ask("alerts", "list", "--as", stranger))
    story.adopt("end-limit", "micro_loan", name)
    story.province.check_well()
    assert story.limit(name) == {}
    shown = story.ask("alerts", "list", "--as", LENDER)
    assert [(item["alert"], item["state"]) for item in shown] == [(alert, "RESOLVED")]


def test_an_adopted_alert_is_followed_with_none_missed_and_none_twice(story: Story) -> None:
    source = (RULES / "ew14.toml").read_text(encoding="utf-8")
    story.adopt("propose", story.write("ew90.toml", source.replace('"EW14"', '"EW90"')))
    seen = story.watch(len(story.alerts()))
    cursor = seen[-1]["cursor"]
    companies = [story.province.new_company()[0] for _ in range(3)]
    for company in companies[:2]:
        submit_arrears(story, company, "2020-01-07", days_late=1)
    seen += story.watch(2, "--from", cursor)
    node = story.province.network.node("D18")
    story.run("--net", story.province.net, "devnet", "kill", "D18")
    submit_arrears(story, companies[2], "2020-01-07", days_late=1)
    seen += story.watch(4, "--from", seen[-1]["cursor"])  # at another node
    story.province.restart(node.member)
    story.province.check_well()
    assert [item["alert"] for item in seen] == story.alerts()
    rules = [(item["company"], item["rule"]) for item in seen[-6:]]
    assert sorted(rules) == sorted((c, f"{r}/1") for c in companies for r in ("EW14", "EW90"))


def test_receipts_are_given_to_whom_they_concern(story: Story) -> None:
    done = story.ask(
        "institution",
        "report",
        *("--net-assets", "1.00", "--total-assets", "1.00", "--capital", "1.00"),
        *("--funds", "1.00", "--as", LENDER),
    )
    for allowed in (LENDER, "D18"):
        receipt = story.ask("receipt", done["id"], "--as", allowed)
        assert receipt["transaction_id"] == done["id"]
    for stranger in ("icbc-gd", "ccb-gd", "D02"):
        said = story.refuse(2006, "receipt", done["id"], "--as", stranger)
        assert LENDER not in said
