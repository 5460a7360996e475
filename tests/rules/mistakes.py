"""The likely mistakes of an author and what he is told: tests/rules/mistakes.txt, replayed.

A mistake is a title, the document that it is made in, the lines that are replaced (`-`), those that
stand there instead (`+`), and the refusal (`=`). Whoever changes a message writes the file anew and
reads what came of it as the author of the rule would:

    python -m tests.rules.mistakes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.errors import RuleSourceError
from ledger.rules.alert import load_alert
from ledger.rules.product import load_product
from ledger.rules.schema import load_schema
from ledger.rules.scorecard import load_scorecard
from tests.rules.samples import ALERT, EVENTS, PRODUCT, SCHEMA, SCORECARD

PATH = Path(__file__).with_name("mistakes.txt")
_ACCEPTED = "accepted"
_SCHEMA = load_schema(SCHEMA.encode(), EVENTS)
_SCORECARD = load_scorecard(SCORECARD.encode(), _SCHEMA)
_DOCUMENTS: Mapping[str, tuple[str, Callable[[bytes], object]]] = {
    "product": (PRODUCT, lambda source: load_product(source, _SCHEMA, _SCORECARD)),
    "scorecard": (SCORECARD, lambda source: load_scorecard(source, _SCHEMA)),
    "schema": (SCHEMA, lambda source: load_schema(source, EVENTS)),
    "alert": (ALERT, lambda source: load_alert(source, EVENTS, _SCHEMA)),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; `told` is what the author is told."""

    title: str
    document: str
    old: str
    new: str
    told: str


def read_mistakes() -> tuple[str, list[Mistake]]:
    """Return the head of the file and its mistakes."""
    head, *blocks = PATH.read_text().split("\n## ")
    return head, [_read(block) for block in blocks]


def _read(block: str) -> Mistake:
    title, document, *lines = block.strip("\n").split("\n")
    marked = {mark: [line[2:] for line in lines if line[:2] == f"{mark} "] for mark in "-+="}
    return Mistake(title, document, *("\n".join(marked[mark]) for mark in "-+="))


def tell(mistake: Mistake) -> str:
    """Return what the author of this mistake is told; raise `ValueError` if it cannot be made."""
    text, load = _DOCUMENTS[mistake.document]
    if text.count(f"{mistake.old}\n") != 1 or mistake.old == mistake.new:
        raise ValueError(f"{mistake.title}: found {text.count(mistake.old)} times")
    # A backslash and a letter stand for what this file could not show.
    new = mistake.new.replace("\\t", "\t").replace("\\ufeff", "\ufeff")
    try:
        load(text.replace(f"{mistake.old}\n", f"{new}\n").encode())
    except RuleSourceError as error:
        return str(error)
    return _ACCEPTED


def _write(head: str, mistakes: list[Mistake]) -> None:
    blocks = [head]
    for mistake in mistakes:
        old = "".join(f"- {line}\n" for line in mistake.old.split("\n"))
        new = "".join(f"+ {line}\n" for line in mistake.new.split("\n"))
        blocks.append(f"\n## {mistake.title}\n{mistake.document}\n{old}{new}= {mistake.told}\n")
    PATH.write_text("".join(blocks))


def main() -> None:
    """Write the file anew."""
    head, mistakes = read_mistakes()
    _write(head, [replace(mistake, told=tell(mistake)) for mistake in mistakes])


if __name__ == "__main__":
    main()
