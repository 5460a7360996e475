"""Categories and versions of record schemas that the members add by vote.

A change is the whole category as it shall be, in the form of the genesis document. What was must
stay readable: every version of a schema that exists stands in the new value unchanged. A new
version may leave a field out, add one, or let an enumeration say more; a field that keeps its name
keeps its type, unit and scale, so that windows over both versions mean one thing, and no rule may
read a field that is gone or look back beyond the time for which records are to be kept. Who may
read the category cannot be changed by a vote of members, because companies gave or did not give
their consent knowing it; nor can whether it is of natural persons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.credit.categories import compute_event_types
from ledger.credit.retention import check_windows
from ledger.credit.rulebook import Rules
from ledger.encoding import encode
from ledger.errors import Code, Refused, Rejected, RuleSourceError
from ledger.membership.catalogue import SELF_DECLARED, Category, RecordSchema, category_from_value
from ledger.membership.members import get_member
from ledger.rules.alert import load_alert
from ledger.rules.features import Feature
from ledger.rules.schema import EventTypes, load_schema
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES

MAX_CATEGORIES = 4_096
_FIXED = ("access", "has_natural_person")


@dataclass(frozen=True, slots=True)
class CategoryVersions:
    """The versions (schema name, number) that are new, and those that they follow."""

    fresh: tuple[tuple[str, int], ...]
    followed: tuple[tuple[str, int], ...] = ()


def check_category_change(
    state: Overlay, rules: Rules, value: Mapping[str, Any]
) -> CategoryVersions:
    """Return what is new in a category as it shall be.

    Raise `Rejected` (2008 for the form, 2507 for a number that does not go up, 2512 for what would
    break something).
    """
    try:
        category = category_from_value("category", value)
    except Refused as error:
        raise Rejected(Code.BODY_MALFORMED, error.message) from None
    owner = get_member(state, category.owner)
    if not category.is_self_declared and (owner is None or owner.is_removed):
        raise _broken(category, f"its owner {category.owner} is no member")
    before = state.get(CATEGORIES, category.id.encode())
    if before is None:
        if len(rules.categories()) >= MAX_CATEGORIES:
            raise _broken(category, f"there are {MAX_CATEGORIES} categories already")
        return CategoryVersions(tuple(sorted(category.schemas)))
    fresh = _check_kept(category, before, value)
    known = rules.category(category.id)
    followed = []
    for name, version in fresh:
        latest = known.latest().get(name)
        if latest is not None:
            _check_version(category, latest, category.schemas[name, version])
            followed.append((name, latest.version))
    _check_rules(rules, category)
    return CategoryVersions(fresh, tuple(followed))


def _broken(category: Category, why: str) -> Rejected:
    return Rejected(Code.CATEGORY_CHANGE, f"category {category.id}: {why}")


def _check_kept(
    category: Category, before: Mapping[str, Any], value: Mapping[str, Any]
) -> tuple[tuple[str, int], ...]:
    """Return what is new; raise where something that was is not there or not the same."""
    for key in _FIXED:
        if before[key] != value[key]:
            raise _broken(category, f"{key} was {before[key]} and may not be changed")
    if (before["owner"] == SELF_DECLARED) != category.is_self_declared:
        raise _broken(category, "what companies declare themselves stays so, and nothing else is")
    kept = {(item["name"], item["version"]): item for item in before["schemas"]}
    given = {(item["name"], item["version"]): item for item in value["schemas"]}
    for (name, version), schema in kept.items():
        other = given.get((name, version))
        if other is None or encode(other) != encode(schema):
            raise _broken(
                category, f"schema {name or '(main)'} version {version} must stay as it is"
            )
    return tuple(sorted(given.keys() - kept.keys()))


def _check_version(category: Category, latest: RecordSchema, schema: RecordSchema) -> None:
    """Raise where a new version of a schema would give what it keeps another meaning."""
    if schema.version <= latest.version:
        raise Rejected(
            Code.RULE_VERSION,
            f"{schema.full_name} version {schema.version}, want more than {latest.version}",
        )
    if (schema.identity, schema.date_field) != (latest.identity, latest.date_field):
        raise _broken(category, f"{schema.full_name} keeps its identity and its date field")
    for name, field in schema.fields.items():
        old = latest.fields.get(name)
        if old is None:
            continue
        if (field.type, field.unit, field.scale) != (old.type, old.unit, old.scale):
            raise _broken(category, f"field {name} keeps its type, unit and scale; name a new one")
        lost = sorted(set(old.values) - set(field.values))
        if lost:
            raise _broken(category, f"field {name} may no longer be {', '.join(lost)}")


def _check_rules(rules: Rules, category: Category) -> None:
    """Raise where a registered schema or alert would not compile any more."""
    others = [item for item in rules.categories() if item.id != category.id]
    events = compute_event_types([*others, category])
    for kind in ("schema", "alert"):
        for ref in rules.references(kind):
            try:
                check_windows({category.id: category}, _compile(rules, kind, ref, events))
            except (RuleSourceError, Rejected) as error:
                raise _broken(category, f"{kind} {ref} would be refused: {error}") from None


def _compile(rules: Rules, kind: str, ref: str, events: EventTypes) -> Iterable[Feature]:
    """Return the features that a rule declares itself; raise `RuleSourceError`."""
    source = rules.source(kind, ref)
    if kind == "schema":
        return load_schema(source, events).features.values()
    schema = rules.alert(ref).schema_ref
    return load_alert(source, events, rules.registered_schema(schema) if schema else None).windows
