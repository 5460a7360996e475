"""The table of prudential limits: complete, readable by the ledger, refused with its line."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

import pytest

from genesis.institutions import load_institutions
from genesis.limits import TABLE, load_limits
from genesis.network import NETWORKS
from ledger.encoding import encode
from ledger.errors import Refused
from ledger.lending.limits.limits import GENESIS_SETTING, read_genesis_limits

GUANGDONG = NETWORKS / "guangdong"


def test_the_table_is_what_the_ledger_reads() -> None:
    rows = load_limits(GUANGDONG)
    limits = read_genesis_limits({GENESIS_SETTING: encode(rows)})
    assert len(limits) == len(rows) == 25
    by_id = {limit.id: limit for limit in limits}
    assert by_id["ML-BORROWER"].most == 1_000
    assert by_id["FL-LEVERAGE"].most == 80_000
    assert by_id["OML-BORROWER"].most == 1_000_000_000
    assert {limit.id for limit in limits if not limit.is_verified} == {"PW-PERSON", "PW-TERM"}
    assert {limit.supervisor for limit in limits} == {"D18"}
    assert {limit.kind for limit in limits} <= {i.kind for i in load_institutions(GUANGDONG)}


def test_every_limit_of_the_shared_table_is_there() -> None:
    shared = Path(__file__).parents[2] / "../shared/data/prudential_limits.csv"
    if not shared.exists():
        pytest.skip("the shared data is not here")
    ours = {row["kind"]: 0 for row in load_limits(GUANGDONG)}
    for row in load_limits(GUANGDONG):
        ours[row["kind"]] += 1
    for line in shared.read_text("utf-8").splitlines()[1:]:
        ours[line.partition(",")[0]] -= 1
    # The limits on one party of the statute hold for both classes of guarantee companies.
    assert {kind: count for kind, count in ours.items() if count} == {"guarantee_sme_agri": 2}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ML-GROUP,", "ML-BORROWER,", "line 3: limit ML-BORROWER stands twice"),
        (",group,", ",gruop,", "line 3: column measure: got 'gruop'"),
        ("year_end,15", "year_end,1.5", "line 3: column limit: got '1.5'"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    copy(GUANGDONG / "kinds.csv", tmp_path)
    text = (GUANGDONG / TABLE).read_text("utf-8").replace(old, new, 1)
    (tmp_path / TABLE).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=sentence):
        load_limits(tmp_path)
    (tmp_path / TABLE).unlink()
    assert load_limits(tmp_path) == ()
