"""Every error number is described, and docs/ERRORS.md is what the descriptions give."""

import re
from pathlib import Path

import pytest

from ledger.error_texts import DESCRIPTIONS, render
from ledger.errors import Code
from ledger.execution import HANDLERS
from ledger.refusals import GENERAL, find_refusals

DOCUMENT = Path(__file__).parents[2] / "docs/ERRORS.md"


@pytest.mark.parametrize("code", Code)
def test_every_number_has_meaning_and_remedy(code):
    text = DESCRIPTIONS[code]
    assert text.endswith(".")
    assert len(text) > 20
    assert text.isprintable()


def test_every_kind_has_its_table_and_every_refusal_a_sentence():
    for kind in HANDLERS:
        refusals = find_refusals(kind)
        assert Code.BODY_MALFORMED in {item.code for item in refusals}, kind
        assert not set(GENERAL) & {item.code for item in refusals}
        silent = [item.code.name for item in refusals if not item.sentences]
        assert silent == [], kind


def test_tables_name_what_handlers_are_known_to_refuse():
    known = {
        "asset.pledge": {Code.ASSET_ALREADY_PLEDGED, Code.APPLICATION_UNKNOWN},
        "company.bind": {Code.KEY_WEAK, Code.USCC_CHECK_DIGIT, Code.COMPANY_KEY_BOUND},
        "records.submit": {Code.BATCH_EMPTY, Code.RECORD_VERSIONS, Code.CATEGORY_UNKNOWN},
        "member.approve": {Code.PROPOSAL_STATE, Code.KEY_UNPROVEN},
    }
    for kind, codes in known.items():
        assert codes <= {item.code for item in find_refusals(kind)}, kind
    (taken,) = [item for item in find_refusals("asset.pledge") if item.code == 2303]
    assert taken.sentences == ("the asset is already pledged",)
    assert Code.ASSET_ALREADY_PLEDGED not in {item.code for item in find_refusals("company.bind")}


def _split(document):
    """Return the descriptions, and the numbers that stand in each kind's table."""
    descriptions, _, tables = document.partition("# What can be wrong with a transaction")
    kinds = re.split(r"^## (\S+)$", tables, flags=re.MULTILINE)[1:]
    pairs = zip(kinds[::2], kinds[1::2], strict=True)
    return descriptions, {
        kind: re.findall(r"^\| (\d+) \|", table, re.MULTILINE) for kind, table in pairs
    }


def test_document_is_current():
    """Sentences may be reworded; numbers, meanings, kinds and what each is refused with may not."""
    current = DOCUMENT.read_text(encoding="utf-8")
    assert _split(current) == _split(render()), "run: python -m ledger.error_texts > docs/ERRORS.md"
    assert set(_split(current)[1]) == set(HANDLERS)
