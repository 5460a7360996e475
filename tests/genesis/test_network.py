"""The tables of Guangdong are whole, and a row that is wrong is refused with its place."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest

from genesis.network import NETWORKS, load_network
from ledger.errors import Code, Refused

SHARED = Path(__file__).parents[2] / "../shared/data"


def test_guangdong_has_26_departments_and_213_categories() -> None:
    network = load_network("guangdong")
    assert len(network.departments) == 26
    assert len(network.categories) == 213
    assert Counter(item["access"] for item in network.categories) == {
        "PUB": 143,
        "AUT": 66,
        "REG": 4,
    }
    lines = [
        item["id"]
        for item in network.categories
        for schema in item["schemas"]
        if schema["name"] == "line"
    ]
    assert lines == ["C044", "C045"]


def test_tables_hold_every_field_of_the_published_catalogue() -> None:
    path = SHARED / "catalogue.csv"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    network = {item["id"]: item for item in load_network("guangdong").categories}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            named = [spec.split(":", 1)[0] for spec in row["fields"].split("; ")]
            main = network[row["category_id"]]["schemas"][0]
            assert ["company", *(field["name"] for field in main["fields"])] == named
            assert network[row["category_id"]]["owner"] == row["department_id"]


@pytest.mark.parametrize(
    ("table", "old", "new", "place"),
    [
        (
            "fields.csv",
            "C001,,name_zh,string,",
            "C001,,name_zh,strong,",
            "fields.csv line 2: column type",
        ),
        (
            "fields.csv",
            "C001,,name_zh,string,,0,",
            "C001,,name_zh,string,,2,",
            "column is_optional",
        ),
        ("fields.csv", "CNY 10k,0,,6,0", "CNY 10k,0,,7,0", "column scale: got 7, want 0 to 6"),
        ("fields.csv", "CNY 10k,0,,6,0", "CNY 10k,0,,x,0", "column scale: got 'x'"),
        ("fields.csv", "C001,,name_zh", "C999,,name_zh", "schema C999/ is not in schemas.csv"),
        (
            "schemas.csv",
            "C001,,1,established_on",
            "C001,,1,name_zh",
            "schemas.csv line 2: date_field",
        ),
        ("schemas.csv", "C044,line,1", "C300,line,1", "column category: got 'C300'"),
        ("categories.csv", "C001,D01", "C001,D99", "categories.csv line 2: column owner"),
        ("categories.csv", ",PUB,", ",OPEN,", "column access: got 'OPEN'"),
        ("departments.csv", "id,name,name_zh", "id,name", "departments.csv: columns are"),
    ],
)
def test_wrong_row_is_refused_with_its_place(
    tmp_path: Path, table: str, old: str, new: str, place: str
) -> None:
    folder = tmp_path / "network"
    shutil.copytree(NETWORKS / "guangdong", folder)
    file = folder / table
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(Refused) as caught:
        load_network(folder)
    assert caught.value.code is Code.CONFIG_INVALID
    assert place in caught.value.message


def test_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(Refused, match="network narnia is unknown, want guangdong"):
        load_network("narnia")
