"""A decision letter as text: paragraphs of the gathered facts, in the words of one language.

Adverse reasons come first, each with the inputs that it saw; then the change that would pass, then
every input with the records it was made from, then how to object and how to check the letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from commands.letters.gathering import Gathered
from commands.letters.phrases import PHRASES, Phrases
from commands.values import rate, scaled
from ledger.rules.changes import Move
from ledger.rules.features import AS_OF

WIDTH = 78
_INDENT = "   "
_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


def write_letter(found: Gathered, language: str) -> str:
    """Return the letter, ready to print; lines are at most `WIDTH` columns but for commands."""
    phrases = PHRASES[language]
    writer = _Writer(found, phrases)
    parts = (
        writer.head(),
        writer.outcome(),
        writer.reasons(),
        writer.score(),
        writer.change(),
        writer.facts(),
        writer.rights(),
        writer.proof(),
    )
    lines: list[str] = []
    for part in parts:
        of_part = list(part)
        if of_part:
            lines += of_part if not lines else ["", *of_part]
    return "\n".join(lines) + "\n"


class _Writer:
    """The parts of one letter, each a few lines."""

    def __init__(self, found: Gathered, phrases: Phrases) -> None:
        self._found = found
        self._shown = found.shown
        self._phrases = phrases
        self._say = phrases.say
        self._lender = found.names.member(self._shown["lender"])

    def head(self) -> Iterator[str]:
        """Yield who writes to whom, when, about what."""
        yield self._say("title")
        yield ""
        rule = self._found.rules["product"]
        named = {"text": rule.get("name", ""), "text_zh": rule.get("name_zh", "")}
        product = self._found.names.text(named, self._shown["product"])
        yield self._say("to", company=self._found.company_name)
        yield self._say("from", lender=self._lender)
        yield self._say("dated", day=self._phrases.day(self._shown["day"]))
        yield from _wrap(self._say("product", product=f"{product} ({self._shown['product']})"))
        yield self._say("number", application=self._shown["application"])

    def outcome(self) -> Iterator[str]:
        """Yield what was asked and what was decided, and the offer if there is one."""
        shown, phrases = self._shown, self._phrases
        asked = phrases.amount(shown["asked_fen"])
        yield from _wrap(self._say("asked", amount=asked, term=phrases.days(shown["term_days"])))
        yield from _wrap(self._say(shown["outcome"], lender=self._lender))
        yield from _wrap(self._say("by_rule", lender=self._lender))
        if shown["reviews"]:
            yield from _wrap(self._say("review", lender=self._lender))
        if shown["outcome"] != "GRANT":
            return
        amount, annual = phrases.amount(shown["amount_fen"]), rate(shown["rate_bp"])
        yield ""
        yield from _wrap(self._say("offer", lender=self._lender, amount=amount, rate=annual))
        if shown["amount_fen"] < shown["asked_fen"]:
            yield from _wrap(self._say("less", limit=phrases.amount(shown["limit_fen"])))
        if shown["expires_day"] is not None and shown["stage"] == "OFFERED":
            yield from _wrap(self._say("until", day=phrases.day(shown["expires_day"])))
            yield f"{_INDENT}creditledger loan accept {shown['application']} --as {self._company}"

    @property
    def _company(self) -> str:
        return str(self._shown["company"])

    def reasons(self) -> Iterator[str]:
        """Yield each condition that failed with its inputs, then what is not known."""
        if self._shown["outcome"] == "GRANT":
            return
        yield self._say("why" if self._shown["outcome"] == "DECLINE" else "why_refer")
        for number, (code, condition, result, inputs) in enumerate(self._found.reasons, 1):
            text = self._reason_text(condition, code)
            sentence = _sentence_of(condition, result)
            yield from _wrap(self._say(sentence, number=str(number), text=text, code=code))
            if sentence == "not_told":
                yield from _wrap(self._say(result), _INDENT)
            for name, value in inputs:
                yield from _wrap(self._seen(name, value), _INDENT)
        if not self._found.reasons:
            yield from _wrap(self._say("no_condition"))
        missing = self._shown["missing"] or ()
        if missing:
            labels = self._phrases.join(map(self._label, missing))
            yield from _wrap(self._say("missing", labels=labels))

    def _reason_text(self, condition: str, code: str) -> str:
        """Return the author's text of a condition, of the limit, or of the score's bands."""
        product = self._found.rules["product"]
        for table in product.get("condition", ()):
            if (table["id"], table["reason"]) == (condition, code):
                return self._found.names.text(table, condition)
        part = product.get("rate" if condition == "score" else "limit", {})
        return self._found.names.text(part, condition)

    def _unit(self, name: str) -> str:
        given = {"ap.amount": "fen", "ap.term": "days", AS_OF: "date"}.get(name, "")
        feature = self._found.rules["schema"].get("feature", {}).get(name, {})
        return str(feature.get("unit", given))

    def _value(self, name: str, value: Any) -> str:
        feature = self._found.rules["schema"].get("feature", {}).get(name, {})
        if isinstance(value, str):
            return self._found.names.word(feature, value)
        if type(value) is int and "measure" in feature:
            measure = self._found.names.measure(feature)
            figure = scaled(value, feature.get("decimals", 0))
            return self._say("measured", figure=figure, measure=measure)
        return self._phrases.value(self._unit(name), value)

    def _label(self, name: str) -> str:
        return self._found.label(name, self._phrases.label(name))

    def _seen(self, name: str, value: Any) -> str:
        return self._say("seen", label=self._label(name), value=self._value(name, value))

    def score(self) -> Iterator[str]:
        """Yield the score, and the texts of the characteristics that lowered it most."""
        if self._shown["score"] is None:
            return
        points, codes = str(self._shown["score"]), self._shown["score_reasons"] or ()
        yield self._say("score" if codes else "score_alone", score=points)
        for code in codes:
            yield from _wrap(self._score_part(code), _INDENT)

    def _score_part(self, code: str) -> str:
        """Return what lowered the score: the author's text, or what is not known in its place."""
        for table in self._found.rules["scorecard"].get("characteristic", ()):
            labels = self._phrases.join(self._unknown_of(str(table.get("input", ""))))
            if code == table.get("missing_reason") and labels:
                return self._say("score_missing", labels=labels, code=code)
            if code in (table.get("reason"), table.get("missing_reason")):
                text = self._found.names.text(table, code)
                return self._say("score_part", text=text, code=code)
        return self._say("score_part", text=code, code=code)

    def _unknown_of(self, expression: str) -> Iterator[str]:
        """Yield what the facts are called that an expression names and nobody attested."""
        features = self._found.rules["schema"].get("feature", {})
        for name in dict.fromkeys(_NAME.findall(expression)):
            if name in features and self._shown["facts"].get(name) is None:
                yield self._label(name)

    def change(self) -> Iterator[str]:
        """Yield the smallest change that would pass, or that none was found."""
        if self._shown["outcome"] == "GRANT":
            return
        yield self._say("change")
        change = self._found.change
        if self._found.product is None:
            yield from _wrap(self._say("not_tried"))
        elif change is None or change.verdict is None or change.verdict.terms is None:
            yield from _wrap(self._say("no_change"))
        else:
            yield from _wrap(self._say("change_is"))
            for move in change.moves:
                yield from _wrap(f"- {self._move(move)}", _INDENT)
            _, amount_fen, rate_bp = change.verdict.terms
            amount = self._phrases.amount(amount_fen)
            annual = rate(rate_bp)
            yield from _wrap(self._say("then", amount=amount, rate=annual))
        if not self._found.is_in_force:
            yield from _wrap(self._say("superseded"))

    def _move(self, move: Move) -> str:
        after = self._value(move.feature, move.after)
        if move.feature == AS_OF:
            return self._say("move_day", after=after)
        if move.others:
            others = self._phrases.join(self._value(move.feature, item) for item in move.others)
            after = self._say("or", after=after, others=others)
        label = self._label(move.feature)
        if move.before is None:
            return self._say("move_new", label=label, after=after)
        before = self._value(move.feature, move.before)
        return self._say("move", label=label, after=after, before=before)

    def facts(self) -> Iterator[str]:
        """Yield every input with what it was made from; those of one origin stand together."""
        yield self._say("rests")
        by_origin: dict[tuple[str, ...], list[str]] = {}
        for name, item in self._found.inputs.items():
            origin = tuple(dict.fromkeys(self._origin(item)))
            by_origin.setdefault(origin, []).append(self._seen(name, item["value"]))
        for origin, of_origin in by_origin.items():
            for text in of_origin:
                yield from _wrap(f"- {text}")
            for line in origin:
                yield from _wrap(line, _INDENT)

    def _origin(self, item: Mapping[str, Any]) -> Iterator[str]:
        source = item["source"]
        if source == "asset":
            yield self._say("of_asset", asset=str(item.get("asset", "")))
        elif source != "records":
            yield self._say(f"of_{source}")
        for window in item["records"]:
            yield from self._records(window)

    def _records(self, window: Mapping[str, Any]) -> Iterator[str]:
        owner, category = self._found.names.category(window["category"])
        first, last = window["from_day"], self._phrases.day(window["to_day"])
        sentence = "of_records_all" if first is None else "of_records"
        yield self._say(
            sentence,
            owner=owner,
            category=category,
            count=self._count(window),
            first="" if first is None else self._phrases.day(first),
            last=last,
        )
        for record in window["latest"][:1]:
            text = self._say(
                "latest",
                number=str(record["number"]),
                day=self._phrases.day(record["day"]),
                digest=record["digest"].hex()[:16] + "…",
            )
            since = self._phrases.sentences.get(record["status"], "")
            yield f"{text} ({since})" if since else text

    def _count(self, window: Mapping[str, Any]) -> str:
        count = f"{window['count']:,}"
        if window["is_more"]:
            return self._say("more_records", count=count)
        if window["count"] < 2:
            return self._say("one_record" if window["count"] else "no_record")
        return self._say("records", count=count)

    def rights(self) -> Iterator[str]:
        """Yield how to object, to complain, and to see who looked."""
        regulator = self._found.names.member(self._found.regulator)
        yield self._say("rights")
        yield from _wrap(self._say("object"))
        yield f"{_INDENT}creditledger objection open {self._company} CATEGORY NUMBER"
        yield f"{_INDENT}{_INDENT}--text '…' --as {self._company}"
        yield from _wrap(self._say("complain", regulator=regulator))
        yield from _wrap(self._say("counter"))
        yield from _wrap(self._say("looked"))
        yield f"{_INDENT}creditledger company who-looked {self._company} --as {self._company}"

    def proof(self) -> Iterator[str]:
        """Yield what somebody needs to compute the decision again."""
        shown = self._shown
        yield self._say("proof")
        text = self._say(
            "proof_is",
            rule=f"{shown['product']} {shown['rule_hash'].hex()[:16]}…",
            schema=shown["schema"],
            scorecard=shown["scorecard"],
            digest=shown["features_digest"].hex()[:16] + "…",
            height=str(shown["height"]),
            chain=self._found.names.genesis.chain_id.hex()[:16] + "…",
        )
        yield from _wrap(text)
        if self._found.product is not None:
            yield from _wrap(self._say("recomputed" if self._found.is_same else "differs"))


def _sentence_of(condition: str, result: str) -> str:
    """Return the sentence that tells a reason: what could not be told is not said to be so."""
    if result == "FAIL":
        return "reason"
    return "score_unknown" if condition == "score" else "not_told"


def _wrap(text: str, indent: str = "") -> Iterator[str]:
    """Yield the lines of a text; a Chinese character takes two columns and may end a line."""
    line, width = indent, _width(indent)
    for piece in _pieces(text):
        if width + _width(piece.rstrip()) > WIDTH and line.strip():
            yield line.rstrip()
            line, width = indent, _width(indent)
            piece = piece.lstrip()
        line += piece
        width += _width(piece)
    if line.strip():
        yield line.rstrip()


def _pieces(text: str) -> list[str]:
    """Return what a line may break between: words with the blank before, wide characters alone.

    No piece begins with a mark that closes: it stays with what is before it.
    """
    pieces: list[str] = []
    is_open = False  # whether the last piece is a word that goes on
    for character in text:
        is_wide = _width(character) == 2
        closes = unicodedata.category(character) in ("Po", "Pe", "Pf") and is_wide
        if pieces and (closes or (is_open and not is_wide and character != " ")):
            pieces[-1] += character
            is_open = is_open and not closes
        else:
            pieces.append(character)
            is_open = not is_wide
    return pieces


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(item) in "WF" else 1 for item in text)
