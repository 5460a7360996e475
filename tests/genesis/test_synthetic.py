"""Made-up companies: the same files for the same seed, valid codes, and a demo that comes out."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from commands.intake.values import parse_decimal
from genesis.companies import make_profiles
from genesis.draws import Draws
from genesis.synthetic import main, write_data
from ledger.credit.uscc import check_uscc
from ledger.errors import Code
from ledger.state.tables import ALERTS, APPLICATIONS
from tests.genesis.demo_network import DemoNetwork

AS_OF = date(2020, 1, 10)
GRANTED = {"supply chain": 112_000_000, "trade": 50_000_000, "intellectual property": 20_000_000}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_data(tmp_path / name, seed, 12, AS_OF)
    first, again, other = (files(tmp_path / name) for name in "abc")
    assert first == again
    assert first["D02/C044-line.csv"] != other["D02/C044-line.csv"]
    codes = [
        {item["code"] for item in json.loads(data["plan.json"])["companies"]}
        for data in (first, other)
    ]
    assert len(codes[0] & codes[1]) == 4  # the borrowers and their debtor are data


def test_codes_are_valid_and_names_differ() -> None:
    profiles = make_profiles(Draws.of_seed(3), 400)
    for profile in profiles:
        check_uscc(profile.code)
    assert len({profile.code for profile in profiles}) == 400
    assert len({profile.name_zh for profile in profiles}) == 400


def test_command_line_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--seed", "2", "--companies", "10", "--out", str(tmp_path)])
    assert "records of 14 companies" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--companies", "3", "--out", str(tmp_path)])


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_demonstration_comes_out_whatever_the_seed(tmp_path: Path, seed: int) -> None:
    plan = write_data(tmp_path / "data", seed, 10, AS_OF)
    network = DemoNetwork(tmp_path / "net")
    results = network.submit_plan(tmp_path / "data")
    assert [result for result in results if result[0] != 0] == []
    assert all(
        data["duplicates"] == data["conflicts"] == () for _, data in results if "duplicates" in data
    )
    assert [code for code, _ in network.register_products(plan["products"])] == [0, 0, 0]
    decisions = {case["case"]: network.apply(case) for case in plan["applications"]}
    _check_decisions(plan, decisions)
    _check_second_pledge(network, plan, decisions)
    _check_cliff(network, tmp_path / "data", plan["cliff"])


def _check_decisions(plan: dict[str, Any], decisions: dict[str, tuple[int, Any]]) -> None:
    asked = {case["case"]: parse_decimal(case["amount"], 2) for case in plan["applications"]}
    for name, amount in GRANTED.items():
        code, data = decisions[name]
        assert code == 0
        assert data["outcome"] == "GRANT"
        assert data["amount_fen"] == data["limit_fen"] == amount < asked[name]
    declined = decisions["declined"][1]
    assert declined["outcome"] == "DECLINE"
    assert {reason[0] for reason in declined["reasons"]} >= {"R105", "R106"}
    referred = decisions["referred"][1]
    assert referred["outcome"] == "REFER"
    assert referred["missing"] == ("co.tax_grade",)


def _check_second_pledge(
    network: DemoNetwork, plan: dict[str, Any], decisions: dict[str, tuple[int, Any]]
) -> None:
    second = plan["second_pledge"]
    case = next(item for item in plan["applications"] if item["case"] == second["case"])
    application = bytes.fromhex(decisions[case["case"]][1]["application"])
    value = network.state().get(APPLICATIONS, application)
    asset = next(item for item in value if isinstance(item, str) and len(item) == 32)
    body = {"asset": asset, "application": application.hex()}
    assert network.act(case["lender"], "asset.pledge", body)[0] == 0
    again = network.register_asset(case["company"], {**case["asset"], "kind": second["kind"]})
    code, data = network.act(second["lender"], "asset.pledge", {"asset": again})
    assert code == Code.ASSET_ALREADY_PLEDGED
    assert case["lender"] not in data["error"]


def _check_cliff(network: DemoNetwork, data: Path, cliff: dict[str, Any]) -> None:
    def raised() -> set[str]:
        return {
            value[0]
            for _, value in network.state().scan(ALERTS, b"")
            if value[2] == cliff["company"]
        }

    assert not {"EW05/1", "EW06/1"} & raised()
    results = network.submit_file(cliff["member"], data / cliff["file"], data / cliff["map"])
    assert [code for code, _ in results] == [0]
    assert f"{cliff['alert']}/1" in raised()
