"""A scorecard on the command line: fitted, checked, scored with and explained."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analytics.scorecard.public_cases import Case
from analytics.scorecard.table import FactTable
from commands.cli import cli
from commands.frame import Exit
from genesis.companies import made_up_code
from tests.analytics.scorecards import make_table

CODE = made_up_code("E1")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["scorecard", *map(str, arguments)])


def write_table(path: Path, table: FactTable) -> None:
    names = [name.removeprefix("data.") for name in table.units]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["company", *names, "failed"])
        for name, row, label in zip(table.ids, table.rows, table.labels, strict=True):
            cells = [row.get(f"data.{column}", "") for column in names]
            writer.writerow([name, *cells, "yes" if label else "no"])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorecard")
    write_table(folder / "data.csv", make_table(300))
    write_table(folder / "more.csv", make_table(100, seed=9))
    options = ("--target", "failed", "--bad", "yes", "--id-column", "company", "--repeats", "1")
    answer = run("fit", folder / "data.csv", *options, "--out", folder / "card.toml")
    assert answer.exit_code == Exit.OK, answer.output
    assert "AUC" in answer.output
    return folder


def test_fit_writes_card_report_and_schema(fitted: Path) -> None:
    assert {path.name for path in fitted.iterdir()} >= {
        "card.toml",
        "card.report.json",
        "data-1.toml",
    }
    report = json.loads((fitted / "card.report.json").read_text("utf-8"))
    assert report["companies"] == 300
    assert report["validation"]["auc"]["mean"] > 0.7


def test_columns_are_scored_as_they_were_fitted(tmp_path: Path) -> None:
    """Whole numbers in a column that had decimals are multiplied as they were."""
    rows = [(place / 8, place % 7, int(place % 5 == 0 or place > 80)) for place in range(120)]
    text = "".join(f"c{n},{a},{b},{bad}\n" for n, (a, b, bad) in enumerate(rows))
    (tmp_path / "data.csv").write_text("name,a,b,bad\n" + text, "utf-8")
    options = ("--id-column", "name")
    answer = run("fit", tmp_path / "data.csv", "--target", "bad", "--repeats", "1", *options,
                 "--out", tmp_path / "card.toml")  # fmt: skip
    assert answer.exit_code == Exit.OK, answer.output
    for cells in ("12,3", "12.0,3", "12.000,3.0"):
        (tmp_path / "one.csv").write_text(f"name,a,b\nx,{cells}\n", "utf-8")
        arguments = ("--scorecard", tmp_path / "card.toml", *options, "--out", tmp_path / "s.csv")
        answer = run("score", tmp_path / "one.csv", *arguments)
        assert answer.exit_code == Exit.OK, answer.output
        scored = (tmp_path / "s.csv").read_text("utf-8")
        if cells == "12,3":
            first = scored
        assert scored == first
    assert run("explain", tmp_path / "card.toml", "--data", tmp_path / "one.csv", *options,
               "--id", "x").exit_code == Exit.OK  # fmt: skip
    (tmp_path / "one.csv").write_text("name,a,b\nx,12,3.5\n", "utf-8")
    answer = run("score", tmp_path / "one.csv", *arguments)
    assert "row 2: data.b is '3.5', want a whole number, as the scorecard" in answer.output


def test_fit_leaves_the_schema_of_other_columns_alone(fitted: Path) -> None:
    held = (fitted / "data-1.toml").read_bytes()
    (fitted / "other.csv").write_text("a,failed\n1,yes\n2,no\n", "utf-8")
    options = ("--target", "failed", "--bad", "yes", "--out", fitted / "other.toml")
    answer = run("fit", fitted / "other.csv", *options)
    assert answer.exit_code == Exit.REFUSED
    assert "data-1.toml is the schema of other columns" in answer.output
    assert (fitted / "data-1.toml").read_bytes() == held


def test_check_tells_what_the_card_gives(fitted: Path) -> None:
    answer = run("check", fitted / "card.toml")
    assert answer.exit_code == Exit.OK
    assert "nothing known" in answer.output
    facts = fitted / "facts.toml"
    facts.write_text('[[company]]\nname = "Poor"\n"data.sales" = 10\n', encoding="utf-8")
    found = json.loads(run("check", fitted / "card.toml", "--facts", facts, "--json").output)
    assert found["is_valid"]
    assert found["lowest"] <= found["samples"][0]["points"] <= found["highest"]


def test_check_tells_a_mistake_with_its_place(fitted: Path) -> None:
    source = (fitted / "card.toml").read_text("utf-8")
    wrong = fitted / "wrong.toml"
    wrong.write_text(source.replace('"data.sales"', '"data.sale"'), encoding="utf-8")
    answer = run("check", wrong)
    assert answer.exit_code == Exit.REFUSED
    assert "unknown" in answer.output
    assert "line " in answer.output


def test_score_writes_every_company_and_tells_stability(fitted: Path) -> None:
    out = fitted / "scores.csv"
    table = ("--target", "failed", "--bad", "yes", "--id-column", "company")
    report = ("--report", fitted / "card.report.json")
    answer = run(
        "score",
        fitted / "more.csv",
        "--scorecard",
        fitted / "card.toml",
        *table,
        *report,
        "--out",
        out,
        "--json",
    )
    assert answer.exit_code == Exit.OK, answer.output
    found = json.loads(answer.output)
    assert found["auc"] > 0.7
    assert found["stability"]["score"] < 0.5
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert {row["label"] for row in rows} == {"0", "1"}


def test_explain_tells_reasons_and_a_way(fitted: Path) -> None:
    table = ("--target", "failed", "--bad", "yes", "--id-column", "company")
    card = fitted / "card.toml"
    scores = [
        json.loads(
            run(
                "explain", card, "--data", fitted / "more.csv", "--id", name, *table, "--json"
            ).output
        )["companies"][0]["score"]["points"]
        for name in ("C1", "C2")
    ]
    low = f"C{1 + scores.index(min(scores))}"
    goal = str(min(scores) + 20)
    answer = run(
        "explain", card, "--data", fitted / "more.csv", "--id", low, *table, "--reach", goal
    )
    assert answer.exit_code == Exit.OK
    assert "the next better band" in answer.output
    assert f"to reach {goal}" in answer.output
    points = int(answer.output.rsplit("tried: ", 1)[1].split()[0])
    assert points >= int(goal)


def test_trials_tell_the_figures_of_each_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = tuple(Case(name, make_table(150, seed)) for seed, name in enumerate(("one", "two"), 1))
    monkeypatch.setattr("commands.scorecards.trials._INVOICE_REPEATS", 3)
    monkeypatch.setattr("analytics.scorecard.public_cases.read_cases", lambda _: cases)
    monkeypatch.setattr(
        "analytics.scorecard.invoice_facts.read_invoice_facts", lambda *_: _invoice_table()
    )
    found = json.loads(run("trials", tmp_path, "--json").output)
    assert [item["name"] for item in found] == ["invoices", "one", "two"]
    assert all(item["auc"]["mean"] > 0.6 for item in found)
    text = run("trials", tmp_path).output
    assert "3 x 5" in text
    assert "bootstrap over companies" in text


def _invoice_table() -> FactTable:
    """Return the made-up companies by the features of invoices."""
    table = make_table(60)
    rows = tuple(
        {
            "co.sales_12m": int(row["data.sales"]) * 100,
            "co.sales_prior_12m": 0,
            "co.days_since_first_sale": 900,
            "co.days_since_last_sale": int(row["data.noise"]),
            "co.void_rate_12m": int(row["data.void"]),
        }
        for row in table.rows
    )
    return replace(table, rows=rows)


def test_explain_asks_the_network_for_what_may_be_read(
    fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def query(self, name: str, **body: str) -> dict[str, object]:
            assert name == "company.features"
            assert body == {"company": CODE, "schema": "data/1"}
            return {"facts": {"data.sales": 5}}

    monkeypatch.setattr("commands.scorecards.check.open_session", lambda *_: nullcontext(Session()))
    answer = run("explain", fitted / "card.toml", "--company", CODE, "--as", "somebody")
    assert answer.exit_code == Exit.OK, answer.output
    assert CODE in answer.output
    assert "not known" in answer.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("fit", "data.csv"), "--target"),
        (("fit", "data.csv", "--target", "none"), "no column none"),
        (("fit", "missing.csv", "--target", "x"), "cannot read"),
        (("explain", "card.toml"), "name one source of facts"),
        (("explain", "card.toml", "--data", "more.csv", "--id", "C1000"), "no company C1000"),
        (("trials", "nowhere"), "no folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    fitted: Path, arguments: tuple[str, ...], word: str
) -> None:
    named = [str(fitted / item) if "." in item else item for item in arguments]
    answer = run(*named)
    assert answer.exit_code in (Exit.REFUSED, Exit.USAGE)
    assert word in answer.output
    assert "Traceback" not in answer.output
