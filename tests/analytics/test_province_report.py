"""How far the synthetic province is off the data stays within what docs/PROVINCE.md says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from analytics.columns import read_snapshot
from analytics.province.facts import Province
from analytics.province.report import (
    FIVE,
    Sample,
    compare,
    contrast,
    correlate,
    measure_alerts,
    take_sample,
)
from analytics.scorecard.figures import compute_auc
from commands.cli import cli


@cache
def sample() -> Sample:
    return take_sample(Province(1), 6000)


def test_distributions_are_those_of_the_published_invoices() -> None:
    far = {found.measure: found.distance for found in compare(sample())}
    assert len(far) == 11
    assert all(distance < 0.07 for distance in far.values()), far
    assert far["sales"] < 0.03


def test_rank_correlations_are_near() -> None:
    for pair, (real, ours) in correlate(sample()).items():
        assert abs(real - ours) < 0.15, pair


def test_companies_that_fail_differ_as_those_that_defaulted_did() -> None:
    for name, (paid, defaulted, sound, failing) in contrast(sample()).items():
        assert (paid < defaulted) == (sound < failing), name
    assert 0.02 < sample().fails.mean() < 0.06


def test_early_warnings_find_companies_that_fail() -> None:
    found, left_out = measure_alerts(sample())
    assert left_out == ["EW27", "EW28"]  # of the registry of assets, which is not made up here
    for name in (*FIVE, "2 of 5", "3 of 5"):
        lift, recall = found[name].lift, found[name].recall
        assert lift is not None
        assert lift > 1.3, name
        assert recall is not None
        assert recall > 0.1, name


def test_sales_tell_who_fails() -> None:
    facts = sample().facts["co.sales_12m"]
    there = facts.present
    assert there is not None
    auc = compute_auc(facts.values[there].astype(float), sample().fails[there].astype(float))
    assert 0.65 < auc < 0.95


def make(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["province", "make", "--out", str(folder), *options])


def test_command_writes_a_snapshot_and_labels(tmp_path: Path) -> None:
    result = make(tmp_path, "--companies", "300", "--seed", "5", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert answer["schema"] == "company/2"
    (file,) = answer["files"]
    snapshot = read_snapshot(Path(file))
    assert (snapshot.schema, snapshot.as_of, snapshot.height) == ("company/2", 18_271, 0)
    facts, labels = pq.read_table(file), pq.read_table(tmp_path / "labels-000.parquet")
    assert facts.num_rows == labels.num_rows == 300
    assert facts["company"] == labels["company"]
    assert facts.num_columns == answer["columns"] + 1


def test_command_refuses_what_it_cannot_make(tmp_path: Path) -> None:
    result = make(tmp_path, "--companies", "0")
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [("--as-of", "2020-06-30"), ("--as-of", "2021-02-28")])
def test_any_day_will_do(tmp_path: Path, options: tuple[str, str]) -> None:
    result = make(tmp_path, "--companies", "50", *options)
    assert result.exit_code == 0, result.output
