"""The text of an expression, and where its characters stand in the file that the author wrote.

An expression sits inside a TOML string, perhaps with escapes or over several lines. `Source` keeps
for each of its characters the offset in the document, so that every refusal names the line and the
column an editor shows. Lines and columns count from 1, columns in characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Code, RuleSourceError


def compute_place(document: str, offset: int) -> tuple[int, int]:
    """Return (line, column) of the character at `offset`."""
    line_start = document.rfind("\n", 0, offset) + 1
    return document.count("\n", 0, offset) + 1, offset - line_start + 1


@dataclass(frozen=True, slots=True)
class Source:
    """An expression and the offsets of its characters, plus one for its end, in `document`."""

    text: str
    offsets: Sequence[int]
    document: str

    @classmethod
    def of_text(cls, text: str) -> Source:
        """Return the source of an expression that stands alone."""
        return cls(text, range(len(text) + 1), text)

    def refusal(self, code: Code, message: str, offset: int) -> RuleSourceError:
        """Return the error of refusing the expression at its character `offset`."""
        place = self.offsets[min(offset, len(self.text))]
        return RuleSourceError(code, message, *compute_place(self.document, place))
