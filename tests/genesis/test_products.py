"""The 319 products of Guangdong: made from tables, for who may lend so, and truly different."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from genesis import products
from genesis.institutions import load_institutions
from genesis.network import NETWORKS, load_network
from ledger.errors import Code, Refused
from ledger.lending.facts import find_unsupported
from ledger.rules.product import Product

GUANGDONG = NETWORKS / "guangdong"
# What a class may lend by beside the lines of general credit.
SPECIAL = {
    "leasing": {"leasing"},
    "factoring": {"factoring"},
    "pawn": {"pawn"},
    "guarantee": {"guarantee", "guarantee_sme_agri"},
}
WORDED = {"R116", "R119"}  # which industry or part of the province is wanted: the text says it
ONLY = {"leasing", "factoring", "pawn"}


@pytest.fixture(scope="module")
def loaded() -> list[Product]:
    return products.load_products(GUANGDONG)


def test_files_are_what_the_program_makes_of_the_tables() -> None:
    made = products.make_products(GUANGDONG)
    files = (GUANGDONG / products.FOLDER).glob("*.toml")
    assert made == {path.name: path.read_text("utf-8") for path in files}
    assert len(made) == 319


def test_every_condition_and_amount_of_the_tables_is_used() -> None:
    used: set[str] = set()
    for _, row in products.load_rows(GUANGDONG):
        used |= {item.partition(":")[0] for item in (*row.conditions, row.amount)}
    for name in ("conditions.toml", "amounts.toml"):
        written = tomllib.loads((GUANGDONG / name).read_text("utf-8"))
        assert written.keys() - used == set()


def test_every_institution_lends_and_only_in_lines_of_its_class(loaded: list[Product]) -> None:
    kinds = {item.id: item.kind for item in load_institutions(GUANGDONG)}
    assert {product.lender for product in loaded} == set(kinds)
    assert {product.line for product in loaded} == set(products.LINES)
    for product in loaded:
        kind = kinds[product.lender]
        assert kind in SPECIAL.get(product.line, {kind})
        if kind in ONLY:
            assert product.line in {kind, "agricultural"}


def test_products_read_what_replicas_can_compute(loaded: list[Product]) -> None:
    problems = [find_unsupported(item) for product in loaded for item in product.features]
    assert not any(problems)
    assert sum(1 for product in loaded if product.asset) >= 40


def test_every_reason_is_told_in_both_languages(loaded: list[Product]) -> None:
    for product in loaded:
        told = [(item.text, item.text_zh) for item in product.conditions]
        told += [(product.limit.text, product.limit.text_zh), (product.name, product.name_zh)]
        told += [(item.text, item.text_zh) for item in product.scorecard.characteristics]
        assert all(english.isascii() and not chinese.isascii() for english, chinese in told)


def test_figures_and_values_are_told_as_people_know_them() -> None:
    """A scaled figure names what it counts at its field's scale; each value has a Chinese word."""
    network = load_network(GUANGDONG)
    fields = {
        (category["id"], schema["name"], item["name"]): item
        for category in network.categories
        for schema in category["schemas"]
        for item in schema["fields"]
    }
    features = [
        item
        for name in ("company-1.toml", "province/company-2.toml")
        for item in tomllib.loads((GUANGDONG / "rules" / name).read_text("utf-8"))[
            "feature"
        ].items()
    ]
    told = 0
    for name, feature in features:
        of = (feature.get("category"), feature.get("schema", ""), feature.get("field"))
        field = fields.get(of, {})
        if feature["unit"] == "count" and field.get("scale"):
            assert feature["decimals"] in (field["scale"], 2), name
            assert not feature["measure_zh"].isascii(), name
            told += 1
        if feature["unit"] == "text" and field.get("values"):
            assert feature["words_zh"].keys() >= set(feature.get("values", field["values"])), name
            told += 1
    assert told >= 30


def test_text_for_one_and_for_more() -> None:
    piece = products.Piece("x", "true", "R1", "Fewer than {} cars", "少于{}辆", "No car", ())
    assert piece.say([products.Figure("1", "1", "1")]) == "No car"
    assert piece.say([products.Figure("2", "2", "2")]) == "Fewer than 2 cars"
    texts = [item for _, row in products.load_rows(GUANGDONG) for item in row.conditions]
    told = " ".join(products.Tables(GUANGDONG).condition("", item).text for item in texts)
    assert re.search(r"\b1 [a-z-]+s\b| %", told) is None


def test_a_reason_means_the_same_in_every_product(loaded: list[Product]) -> None:
    meaning: dict[str, str] = {}
    for product in loaded:
        for item in product.conditions:
            if item.reason not in WORDED:
                assert meaning.setdefault(item.reason, item.id) == item.id
        for part in product.scorecard.characteristics:
            assert meaning.setdefault(part.reason, part.text) == part.text
            of = str(sorted(part.input.reads))
            assert meaning.setdefault(part.missing_reason, of) == of


def test_products_differ_in_their_conditions(loaded: list[Product]) -> None:
    pytest.importorskip("numpy", reason="the extra analytics is not installed")
    from analytics.spread import count_condition_sets

    assert count_condition_sets(loaded) >= 300


def test_no_two_products_agree_on_ten_thousand_companies(loaded: list[Product]) -> None:
    """Asked for the usual, and those that look at the wish asked for other sums and terms, too.

    All but pawn, which the law allows for six months, lend for a year as well.
    """
    pytest.importorskip("pyarrow", reason="the extra analytics is not installed")
    from analytics.spread import Wish, find_wish_refusals, make_companies, measure_spread

    companies = list(make_companies(10_000, 1, Wish()))
    asked = Wish().to_facts().keys()
    asks = [p for p in loaded if any(asked & item.when.reads for item in p.conditions)]
    for products_asked, wish in (
        (loaded, Wish()),
        (asks, Wish(10_000_000, 90)),
        (asks, Wish(100_000_000, 360)),
        (asks, Wish(300_000_000, 365)),
    ):
        refused = find_wish_refusals(products_asked, wish)
        left = [item for item in products_asked if item.id not in refused]
        assert {item.line for item in products_asked if item.id in refused} <= {"pawn"}
        spread = measure_spread(left, (facts | wish.to_facts() for facts in companies))
        assert spread.company_count == 10_000
        assert spread.twins == ()
        shares = {share.product.id: spread.granted_share(share) for share in spread.shares}
        assert {name: share for name, share in shares.items() if not 0.001 <= share <= 0.6} == {}


def test_twins_are_found(loaded: list[Product]) -> None:
    pytest.importorskip("pyarrow", reason="the extra analytics is not installed")
    from analytics.spread import measure_spread

    first = loaded[0]
    spread = measure_spread([first, first], [{}, {"co.status": "revoked"}])
    assert spread.twins == ((first.id, first.id),)
    assert [(item.granted, item.referred + item.declined) for item in spread.shares] == [(0, 2)] * 2


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ("standing", "standig", "'standig' is in no table"),
        ("arrears:30", "arrears", "arrears: got 0 figures, want 1"),
        ("arrears:30", "arrears:soon", "arrears: got 'soon', want a number in days"),
        ("icbc-gd", "icbc", "lender 'icbc' is not in institutions.csv"),
        ("supply_chain", "chain", "line 'chain', want one of"),
        ("SME-RISK/2", "SME-RISK/9", "scorecard SME-RISK/9 is none of"),
        ("tax void:20", "declaration", "reads facts of several kinds of asset"),
        ("600:5.30", "600:5.3x", "GD-SCF-1001: E30"),
        ("void:20", "region:Paris", "city 'Paris' is not in cities.csv"),
    ],
)
def test_mistake_in_the_table_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, want: str
) -> None:
    folder = tmp_path / "guangdong"
    shutil.copytree(GUANGDONG, folder, ignore=shutil.ignore_patterns(products.FOLDER))
    lines = (folder / products.TABLE).read_text("utf-8").splitlines()[:2]
    assert old in lines[1]
    text = "\n".join([lines[0], lines[1].replace(old, new)])
    (folder / products.TABLE).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"^E7003.*line 2") as caught:
        products.make_products(folder)
    assert caught.value.code is Code.CONFIG_INVALID
    assert want in str(caught.value)


def test_product_that_stands_twice_is_refused(tmp_path: Path) -> None:
    shutil.copy(GUANGDONG / "institutions.csv", tmp_path)
    lines = (GUANGDONG / products.TABLE).read_text("utf-8").splitlines()
    text = "\n".join([*lines[:3], lines[1]])
    (tmp_path / products.TABLE).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"line 4: product GD-SCF-1001 stands twice"):
        products.load_rows(tmp_path)


def test_writing_anew_removes_what_the_tables_no_longer_have(tmp_path: Path) -> None:
    folder = tmp_path / "guangdong"
    shutil.copytree(GUANGDONG, folder, ignore=shutil.ignore_patterns(products.FOLDER))
    lines = (folder / products.TABLE).read_text("utf-8").splitlines()
    (folder / products.TABLE).write_text("\n".join(lines[:4]), encoding="utf-8")
    assert products.write_products(folder) == (3, 3)
    (folder / products.TABLE).write_text("\n".join(lines[:3]), encoding="utf-8")
    assert products.write_products(folder) == (2, 1)
    assert len(list((folder / products.FOLDER).iterdir())) == 2
