"""Every error number is described, and docs/ERRORS.md is what the descriptions give."""

from pathlib import Path

import pytest

from ledger.error_texts import DESCRIPTIONS, render
from ledger.errors import Code

DOCUMENT = Path(__file__).parents[2] / "docs/ERRORS.md"


@pytest.mark.parametrize("code", Code)
def test_every_number_has_meaning_and_remedy(code):
    text = DESCRIPTIONS[code]
    assert text.endswith(".")
    assert len(text) > 20
    assert text.isprintable()


def test_document_is_current():
    current = DOCUMENT.read_text(encoding="utf-8")
    assert current == render(), "run: python -m ledger.error_texts > docs/ERRORS.md"
