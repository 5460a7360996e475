"""Questions about companies, members, categories and rules, answered from a snapshot.

Each takes the caller into account: what it may not read is left out of a summary and refused when
it is asked for by name. Answers are canonical values; lists come in pages with a cursor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from ledger.credit.access import Basis, find_basis_or_none, find_read_basis
from ledger.credit.access_log import get_access, read_access_id
from ledger.credit.company import check_company_code
from ledger.credit.objections import Mark, get_marks
from ledger.credit.profile import QUERIES as PROFILE_QUERIES
from ledger.credit.profile import compute_features, get_shown_coverage, is_within
from ledger.credit.records import PlacedRecord, RecordStatus, get_records
from ledger.credit.retention import is_hidden
from ledger.credit.rule_terms import get_version_term
from ledger.credit.rulebook import KINDS
from ledger.credit.windows_state import get_all_coverage
from ledger.encoding import Value, decode
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Category
from ledger.membership.context import Query, QueryContext
from ledger.membership.members import get_company_key
from ledger.rules.schema import FeatureSource, Schema
from ledger.state.overlay import leaf_key
from ledger.state.tables import CATEGORIES, COMPANIES, MEMBERS, RULES, SETTINGS, Table
from ledger.state.tree import StateTree
from ledger.transactions.fields import FIRST_DAY, LAST_DAY, Fields
from ledger.transactions.records import decode_record

MAX_PAGE = 500
_PROVABLE: Mapping[str, Table] = {
    table.name: table for table in (MEMBERS, CATEGORIES, RULES, SETTINGS, COMPANIES)
}


def _company(context: QueryContext, fields: Fields) -> str:
    company = fields.text("company")
    check_company_code(context.state, company)
    return company


def query_company_show(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`company.show` {company, access?}: key, log size, and what each readable schema holds."""
    fields = Fields(params)
    company = _company(context, fields)
    access_id = read_access_id(fields)
    fields.done()
    bound = get_company_key(context.state, company)
    summary: list[Value] = []
    for full_name, known in get_all_coverage(context.state, company.encode()):
        category = context.rules.category(full_name.partition("/")[0])
        basis = find_basis_or_none(context, company, category, access_id)
        if basis is None:
            continue
        coverage = get_shown_coverage(context, company, basis, (category, full_name), known)
        summary.append(
            {
                "schema": full_name,
                "category_name": category.name,
                "owner": category.owner,
                "access": category.access.value,
                "is_negative": category.is_negative,
                "is_self_declared": category.is_self_declared,
                "record_count": coverage.record_count,
                "conflict_count": coverage.conflict_count,
                "first_day": coverage.first_day,
                "last_day": coverage.last_day,
                "attested": coverage.intervals,
            }
        )
    log = context.state.company_log(company)
    return {
        "company": company,
        "name": None if bound is None else bound.name,
        "public_key": None if bound is None else bound.public_key,
        "log_size": log.size,
        "log_root": log.root(),
        "schemas": summary,
    }


def query_company_records(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`company.records` {company, category, schema?, from_day?, to_day?, limit?, cursor?, access?}.

    Returns records by day with their fields; `cursor` of a page with more to come is the number of
    records to skip.
    """
    fields = Fields(params)
    company = _company(context, fields)
    category_id = fields.identifier("category")
    schema = fields.optional_identifier("schema") or ""
    first_day = fields.optional_day("from_day")
    last_day = fields.optional_day("to_day")
    limit = fields.optional_integer("limit", minimum=1, maximum=MAX_PAGE) or MAX_PAGE
    skip = fields.optional_integer("cursor") or 0
    access_id = read_access_id(fields)
    fields.done()
    category = context.rules.category(category_id)
    basis = find_read_basis(context, company, category, access_id)
    low, high = _bounded(basis, first_day, last_day)
    full_name = f"{category_id}/{schema}" if schema else category_id
    marks = get_marks(context.state, company)
    page: list[Value] = []
    cursor: int | None = None
    found = get_records(context.state, company, full_name, low, high)
    for number, placed in enumerate(item for item in found if is_within(basis, item)):
        if number < skip:
            continue
        if len(page) == limit:
            cursor = number
            break
        mark = marks.get(placed.entry.digest)
        page.append(_describe(context, category, company, placed, mark))
    return {
        "records": page,
        "cursor": cursor,
        "basis": basis.reason,
        "consent": basis.consent,
        "is_self_declared": category.is_self_declared,
    }


def _bounded(
    basis: Basis, first_day: int | None, last_day: int | None
) -> tuple[int | None, int | None]:
    """Return the days asked for, within those that the basis allows."""
    low = max(item for item in (first_day, basis.first_day, FIRST_DAY) if item is not None)
    high = min(item for item in (last_day, basis.last_day, LAST_DAY) if item is not None)
    return low, max(low - 1, high)


def _describe(
    context: QueryContext,
    category: Category,
    company: str,
    placed: PlacedRecord,
    mark: Mark | None,
) -> Value:
    entry = placed.entry
    is_erased = entry.status is RecordStatus.ERASED  # though the body may still be on the disk
    stored = context.chain.body(entry.height, entry.position, entry.index)
    data = None if is_erased else stored
    record = None if data is None else decode_record(data)
    # Bodies of corrected records do not come along with a snapshot (rule 41); any may be erased.
    absent = Code.RECORD_ERASED if is_erased else Code.NOT_HELD
    # What was corrected may say that it goes on: its time runs from its day (ADR 0023).
    said = None if record is None or entry.corrected_by is not None else record.fields
    if record is not None and is_hidden(context, category, company, placed.day, said):
        data, record, absent = None, None, Code.RECORD_OVER
    code = absent if data is None else Code.OK
    return {
        "number": entry.seq,
        "code": int(code),
        "day": placed.day,
        "digest": entry.digest,
        "status": entry.status.name,
        "objection": None if mark is None else astuple(mark),
        "corrects": entry.corrects,
        "corrected_by": entry.corrected_by,
        "height": entry.height,
        "position": entry.position,
        "index": entry.index,
        "fields": None if record is None else record.fields,
        "source_digest": None if record is None else record.source_digest,
        "body": data,
    }


def query_company_features(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`company.features` {company, schema, names?, access?}: features as rules see them now.

    Features over categories that the caller may not read are named in `withheld`, and those whose
    window reaches beyond the days that an authorisation opens, or has records that came after the
    look; with `access` they are as of its last day, if that is past. Without `names`, what rests on
    the company's own declarations is left out; with them it is named in `self_declared`.
    """
    fields = Fields(params)
    company = _company(context, fields)
    ref = fields.text("schema")
    names = fields.texts("names") if fields.has("names") else None
    access_id = read_access_id(fields)
    fields.done()
    schema: Schema = context.rules.schema(ref)
    as_of = _get_as_of(context, access_id)
    allowed: list[str] = []
    withheld: list[str] = []
    for name in schema.features if names is None else names:
        feature = schema.features.get(name)
        if feature is None:
            raise Rejected(Code.RULE_NAME, f"schema {ref} has no feature {name}")
        if names is None and _is_self_declared(context, schema, name):
            continue
        if feature.source is FeatureSource.RECORDS:
            readable = _is_readable(context, company, schema, name, (access_id, as_of))
            (allowed if readable else withheld).append(name)
    facts = compute_features(context.state, context.rules, company, ref, allowed, as_of)
    missing = [name for name in allowed if name not in facts]
    return {
        "as_of": as_of,
        "facts": facts,
        "missing": tuple(missing),
        "withheld": tuple(withheld),
        "self_declared": tuple(name for name in facts if _is_declared_fact(context, schema, name)),
    }


def _is_declared_fact(context: QueryContext, schema: Schema, name: str) -> bool:
    return name in schema.features and _is_self_declared(context, schema, name)


def _is_self_declared(context: QueryContext, schema: Schema, name: str) -> bool:
    feature = schema.features[name]
    if feature.of:
        return any(_is_self_declared(context, schema, part) for part in feature.of)
    return bool(feature.category) and context.rules.category(feature.category).is_self_declared


def _get_as_of(context: QueryContext, access_id: bytes | None) -> int:
    """Return today, or the last day that a look opens: windows then end there."""
    entry = None if access_id is None else get_access(context.state, access_id)
    is_own = entry is not None and entry.reader == context.caller.id
    return min(context.day, entry.to_day) if entry is not None and is_own else context.day


def _is_readable(
    context: QueryContext,
    company: str,
    schema: Schema,
    name: str,
    look: tuple[bytes | None, int],
) -> bool:
    """Tell whether the caller may see a feature by a look: (its id, the day that windows end)."""
    feature = schema.features[name]
    if feature.of:
        return all(_is_readable(context, company, schema, part, look) for part in feature.of)
    if not feature.category:
        return True
    access_id, as_of = look
    category = context.rules.category(feature.category)
    try:
        basis = find_read_basis(context, company, category, access_id)
    except Rejected:
        return False
    last_day = as_of - feature.offset_days
    first_day = last_day - feature.days + 1 if feature.days else FIRST_DAY
    if _bounded(basis, first_day, last_day) != (first_day, last_day):
        return False
    full_name = f"{feature.category}/{feature.record_schema}".rstrip("/")
    return _is_as_looked(context, company, full_name, basis)


def _is_as_looked(context: QueryContext, company: str, full_name: str, basis: Basis) -> bool:
    """Tell whether no record of the days that are open has come since the look was logged."""
    size = basis.log_size
    if size is None or context.state.company_log_size(company) == size:
        return True
    records = get_records(context.state, company, full_name, basis.first_day, basis.last_day)
    return all(
        placed.entry.seq < size and (placed.entry.corrected_by or 0) < size for placed in records
    )


def query_tx_fate(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`tx.fate` {tx_id}: UNKNOWN, or COMMITTED with place and code; the data for its sender."""
    fields = Fields(params)
    tx_id = fields.bytes32("tx_id")
    fields.done()
    fate = context.chain.fate(tx_id)
    if fate is None:
        return {"fate": "UNKNOWN"}
    height, position, code = fate
    answer: dict[str, Value] = {
        "fate": "COMMITTED",
        "height": height,
        "position": position,
        "code": code,
    }
    block = context.chain.block(height)
    if block is not None:
        sender = decode(block.transactions[position].unsigned)[2]
        if sender == context.caller.id:
            answer["data"] = block.results[position][1]
    return answer


def query_categories_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`categories.list` {category?}: the catalogue as genesis holds it, or one category of it."""
    fields = Fields(params)
    wanted = fields.optional_identifier("category")
    fields.done()
    if wanted is not None:
        context.rules.category(wanted)
        one: Value = context.state.get(CATEGORIES, wanted.encode())
        return [one]
    return [value for _, value in context.state.scan(CATEGORIES, b"")]


def query_category_versions(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`categories.versions` {category}: from when until when each schema's version is accepted.

    Days are None where a version counts from the beginning, or without end.
    """
    fields = Fields(params)
    category = context.rules.category(fields.identifier("category"))
    fields.done()
    versions: list[Value] = []
    for name, number in sorted(category.schemas):
        term = get_version_term(context.state, category.id, name, number)
        first_day, last_day = astuple(term)
        versions.append(
            {"schema": name, "version": number, "first_day": first_day, "last_day": last_day}
        )
    return {"category": category.id, "versions": versions}


def query_rules_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`rules.list` {kind?}: references, owners and heights of what is registered."""
    fields = Fields(params)
    kinds = (fields.choice("kind", KINDS),) if fields.has("kind") else KINDS
    fields.done()
    rules = context.rules
    items: list[Value] = []
    for kind in kinds:
        for ref in rules.references(kind):
            owner, height = rules.owner(kind, ref)
            items.append({"kind": kind, "ref": ref, "owner": owner, "height": height})
    return items


def query_rules_show(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`rules.show` {kind, ref}: the source as its author registered it."""
    fields = Fields(params)
    kind, ref = fields.choice("kind", KINDS), fields.text("ref")
    fields.done()
    rules = context.rules
    owner, height = rules.owner(kind, ref)
    return {"source": rules.source(kind, ref), "owner": owner, "height": height}


def query_state_proof(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`state.proof` {table, key}: the value of a state entry with its proof under the head's root.

    Only tables that every member may read; `companies` gives size, peaks and fold of a log. The
    head's certificate may come a moment later: `block.certificate` gives it then.
    """
    fields = Fields(params)
    table = _PROVABLE[fields.choice("table", _PROVABLE)]
    key = fields.bytes_("key", maximum=128)
    fields.done()
    head = context.chain.head()
    if head is None:
        raise Rejected(Code.NOT_FOUND, "the store holds no block")
    reader = context.state.base
    proof = StateTree(reader, head.state_root).prove(leaf_key(table, key))
    certificate = context.chain.certificate(head.height)
    return {
        "header": head.encoded(),
        "certificate": None if certificate is None else certificate.encoded(),
        "value": reader.get(table.prefix + key),
        "proof": proof.encoded(),
    }


def query_block_certificate(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`block.certificate` {height}: header and certificate of a block; `Rejected` 5104 if none."""
    fields = Fields(params)
    height = fields.integer("height")
    fields.done()
    header, certificate = context.chain.header(height), context.chain.certificate(height)
    if header is None or certificate is None:
        raise Rejected(Code.NOT_FOUND, f"block {height} is not certified here")
    return {"header": header.encoded(), "certificate": certificate.encoded()}


QUERIES: Mapping[str, Query] = {
    "block.certificate": query_block_certificate,
    **PROFILE_QUERIES,
    "company.show": query_company_show,
    "company.records": query_company_records,
    "company.features": query_company_features,
    "tx.fate": query_tx_fate,
    "categories.list": query_categories_list,
    "categories.versions": query_category_versions,
    "rules.list": query_rules_list,
    "rules.show": query_rules_show,
    "state.proof": query_state_proof,
}
