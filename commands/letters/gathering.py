"""What a decision letter is made from: the network's answers, and the rule run again here.

The application with its facts, where each came from, and the sources of the rules are asked for;
names of members and categories stand in genesis. With the sources the product is compiled on this
machine and decides on the facts again, so that the letter does not rest on the node's word, and the
smallest change that would pass is looked for with the very same product.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.letters.phrases import CHINESE
from commands.rules.rule_offline import compile_product, find_named
from commands.session import Session
from ledger.errors import Refused, Rejected
from ledger.membership.context import Role
from ledger.membership.genesis import Genesis
from ledger.rules.changes import Change, find_change
from ledger.rules.product import Product


@dataclass(frozen=True, slots=True)
class Names:
    """Names for people, in the letter's language as far as there are any."""

    is_chinese: bool
    genesis: Genesis

    def member(self, member_id: str) -> str:
        """Return a member's name, its id where genesis has none."""
        member = self.genesis.member(member_id)
        if member is None:
            return member_id
        return (member.name_zh if self.is_chinese else "") or member.name or member_id

    def category(self, category_id: str) -> tuple[str, str]:
        """Return the names of a category's owner and of the category."""
        category = next((item for item in self.genesis.categories if item.id == category_id), None)
        if category is None:
            return "-", category_id
        name = (category.name_zh if self.is_chinese else "") or category.name
        return self.member(category.owner), f"{name} ({category_id})"

    def text(self, table: Mapping[str, Any], default: str) -> str:
        """Return the text that a rule's author gave, in the letter's language if he did.

        On one line: where a paragraph of the letter ends is not for him to say.
        """
        chinese = str(table.get("text_zh", "")) if self.is_chinese else ""
        return " ".join((chinese or str(table.get("text", ""))).split()) or default

    def word(self, feature: Mapping[str, Any], value: str) -> str:
        """Return a text that a record said, in words where the schema's author gave them."""
        if self.is_chinese:
            return str(feature.get("words_zh", {}).get(value, value))
        return value.replace("_", " ") if "words_zh" in feature else value

    def measure(self, feature: Mapping[str, Any]) -> str:
        """Return what a count counts."""
        key = "measure_zh" if self.is_chinese and "measure_zh" in feature else "measure"
        return str(feature[key])


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a letter says, as it came; `change` is None where none was found."""

    shown: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]
    rules: Mapping[str, Mapping[str, Any]]  # the parsed product, schema and scorecard
    names: Names
    company_name: str
    product: Product | None  # None where it could not be compiled here
    is_same: bool
    change: Change | None
    regulator: str
    is_in_force: bool  # whether a new application would be decided by the same version

    @property
    def reasons(self) -> tuple[tuple[str, str, str, Any], ...]:
        """Code, condition, result and inputs of what did not hold: failed ones come first."""
        reasons = self.shown["reasons"] or ()
        return tuple(sorted(reasons, key=lambda reason: reason[2] != "FAIL"))

    def label(self, name: str, default: str) -> str:
        """Return what a fact is called by the schema's author, else `default`."""
        feature = self.rules["schema"].get("feature", {}).get(name, {})
        return self.names.text(feature, default)


def gather(session: Session, application: str, genesis: Genesis, language: str) -> Gathered:
    """Ask for everything that the letter on an application says; raise `Rejected` (2006, 2406)."""
    shown = session.query("application.show", application=application)
    traced = session.query("application.sources", application=application)
    sources = {"product": _ask_source(session, "product", shown["product"])}
    sources |= {
        kind: _ask_source(session, kind, ref) for kind, ref in find_named(sources["product"])
    }
    product = _compile(sources, genesis)
    is_sought = shown["outcome"] != "GRANT"
    return Gathered(
        shown,
        {item["input"]: item for item in traced["inputs"]},
        {kind: tomllib.loads(source.decode()) for kind, source in sources.items()},
        Names(language == CHINESE, genesis),
        _company_name(session, shown["company"]),
        product,
        product is not None and _is_same(product, shown),
        find_change(product, shown["facts"]) if product is not None and is_sought else None,
        next((item.id for item in genesis.members if item.role is Role.REGULATOR), "-"),
        session.query("product.show", product=shown["product"])["is_in_force"],
    )


def _is_same(product: Product, shown: Mapping[str, Any]) -> bool:
    """Tell whether the product decides here as the chain says that it did."""
    again = product.decide(shown["facts"])
    parts = ("features_digest", "rule_hash", "score", "limit_fen", "amount_fen", "rate_bp")
    return str(again.outcome) == shown["outcome"] and all(
        getattr(again, part) == shown[part] for part in parts
    )


def _ask_source(session: Session, kind: str, ref: str) -> bytes:
    source: bytes = session.query("rules.show", kind=kind, ref=ref)["source"]
    return source


def _compile(sources: Mapping[str, bytes], genesis: Genesis) -> Product | None:
    """Return the product compiled here; None where its schema needs what genesis does not have."""
    adopted = [sources[kind] for kind in ("schema", "scorecard")]
    try:
        return compile_product(sources["product"], genesis.data, adopted)
    except (Rejected, Refused):
        return None


def _company_name(session: Session, company: str) -> str:
    name = session.query("company.show", company=company)["name"]
    return f"{name} ({company})" if name else company
