"""What another rule would have done: the chain replayed with one rule more (issue 4).

The blocks of a home are executed again from genesis, in a scratch store, as the audit does, but
with the rule that is asked about beside those of the chain. So its windows are kept from the first
block on, and at each moment the facts are those that the members had then: records, corrections,
attestations, loans, pledges, in the middle of a block too. The rule only watches:

    product     at each application for a product of its id: what it would have decided
    scorecard   the same for each product that used a scorecard of its id, with this one instead
    alert       looked at whenever alerts of its records are due, under a name of its own, so that
                what it raises and clears stands beside what the chain's rules did; at no other
                times, for one look more would change what the chain's own rules say

With `Options.is_monthly` every company is looked at besides, after the first block of each month.

That the replay is the past is shown and not assumed: the results of every block, each decision in
them, must come out as they are stored, byte for byte, and in the end so must every alert; anything
else raises. Certificates and signatures are not checked: that is the audit's, of the same home. A
home without all blocks, from 1 on, can be replayed from the state of an earlier copy on
(`ledger.audit.what_if_start`); what the rule would have raised before is raised at its first look.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

from ledger.audit.what_if_start import check_kept, check_start, check_whole, copy_database
from ledger.chain.block import StoredBlock, encode_results
from ledger.credit.rulebook import RuleCache, Rules
from ledger.credit.windows_state import CompanyWindows
from ledger.errors import Code, LocalError, Rejected, RuleSourceError
from ledger.execution import HANDLERS, execute_genesis, rerun_block
from ledger.lending.alerts.book import RaisedAlert
from ledger.lending.applications import compute_facts, preview
from ledger.lending.facts import Subject, compute_ledger_facts
from ledger.lending.products import get_effective_product
from ledger.membership.context import MS_A_DAY, Context, Handler
from ledger.membership.genesis import parse_genesis
from ledger.rules.alert import Alert
from ledger.rules.decision import Decision
from ledger.rules.documents import hash_source, load_kind
from ledger.rules.product import Product, load_product
from ledger.rules.schema import Schema
from ledger.rules.scorecard import Scorecard
from ledger.rules.times import EPOCH_ORDINAL
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERTS, COMPANIES
from ledger.storage.chain_store import ChainStore
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import Reader, Store
from ledger.transactions.fields import Fields

# (height that was replayed, last height)
Progress: TypeAlias = Callable[[int, int], None]
Rule: TypeAlias = Product | Scorecard | Alert

WATCHED = "~what-if"  # after the id of an alert that only watches
_SCORECARD = re.compile(rb'^scorecard\s*=\s*["\'][^"\']*["\']', re.MULTILINE)
_NAMED = ("product", "scorecard", "alert")


@dataclass(frozen=True, slots=True)
class Options:
    """What to replay; amounts in fen, terms in days. A `term_days` of 0 asks for no such thing."""

    source: bytes
    beside: tuple[bytes, ...] = ()  # a schema or scorecard that it needs and the chain has not
    is_monthly: bool = False
    ask_fen: int = 100_000_000
    term_days: int = 180
    declared: Mapping[str, FactValue] = field(default_factory=dict)  # other `ap.*` facts
    until: int | None = None  # the last height, None for all


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a company at a moment; for an alert GRANT and the rest are not said."""

    rule: str
    outcome: str  # GRANT, DECLINE, REFER, REJECTED; RAISED, CLEARED, HOLDS, CLEAR, UNKNOWN; NONE
    limit_fen: int | None = None
    amount_fen: int | None = None
    rate_bp: int | None = None
    score: int | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One moment at which both rules were asked; `occasion` is application, month or alert."""

    occasion: str
    height: int
    day: int
    company: str
    old: Verdict
    new: Verdict


@dataclass(slots=True)
class WhatIfReport:
    """Everything that was seen. `decisions` and `alerts` of the past came out as stored."""

    kind: str
    ref: str
    start: int = 0  # the block whose state the replay began with
    blocks: int = 0
    transactions: int = 0
    applications: int = 0
    alerts: int = 0
    cases: list[Case] = field(default_factory=list)

    def counts(self, occasion: str) -> dict[tuple[str, str], int]:
        """Return how many cases there were of each (old outcome, new outcome)."""
        found: dict[tuple[str, str], int] = {}
        for case in self.cases:
            if case.occasion == occasion:
                key = case.old.outcome, case.new.outcome
                found[key] = found.get(key, 0) + 1
        return dict(sorted(found.items()))


class _WatchingRules(Rules):
    """The rule book of a state, with schemas and scorecards of which the chain need not know."""

    def __init__(self, state: Overlay, cache: _WatchingCache) -> None:
        super().__init__(state, cache)
        self._extra = cache.extra
        self._watched = cache.watched

    def source(self, kind: str, ref: str) -> bytes:
        """Return the source that the chain has, else the one that stands beside."""
        found = self._extra.get((kind, ref))
        return super().source(kind, ref) if found is None else found

    def alerts(self, day: int | None = None) -> tuple[Alert, ...]:
        """Return the chain's alerts and the one that only watches."""
        known = super().alerts(day)
        return known if self._watched is None else (*known, self._watched)

    def _entry(self, kind: str, ref: str) -> Any:
        found = self._extra.get((kind, ref))
        return super()._entry(kind, ref) if found is None else (hash_source(found), WATCHED, 0)

    def _schemas(self) -> list[Schema]:
        """Return the schemas whose streams are kept; those of categories to come wait for them."""
        found = {schema.ref: schema for schema in super()._schemas()}
        for kind, ref in self._extra:
            if kind == "schema" and ref not in found:
                with suppress(RuleSourceError):
                    found[ref] = self.registered_schema(ref)
        return list(found.values())


class _WatchingCache(RuleCache):
    """What was compiled, with what is asked about; `watched` is an alert that only watches."""

    def __init__(self, extra: Mapping[tuple[str, str], bytes]) -> None:
        super().__init__()
        self.extra = extra
        self.watched: Alert | None = None

    def over(self, state: Overlay) -> Rules:
        """Return the rule book of a state."""
        return _WatchingRules(state, self)


def _compile(chain: ChainStore, options: Options) -> tuple[Rule, _WatchingCache]:
    """Return the rule, compiled against the state as it is now, and the cache of the replay."""
    kind, _ = _name(options.source)
    if kind not in _NAMED:
        raise LocalError(Code.INPUT_USAGE, f"a {kind} decides nothing: ask about a rule on it")
    extra = {_name(item): item for item in options.beside}
    rules = _WatchingRules(Overlay(chain.reader), _WatchingCache(extra))
    rule: Rule = rules.compile(kind, options.source)
    if rule.schema_ref:
        extra["schema", rule.schema_ref] = rules.source("schema", rule.schema_ref)
    cache = _WatchingCache(extra)
    if isinstance(rule, Alert):
        cache.watched = replace(rule, id=rule.id + WATCHED)
    return rule, cache


def replay_home(
    home: Path,
    scratch: Path,
    options: Options,
    genesis: bytes | None,
    progress: Progress,
    start: Path | None = None,
) -> WhatIfReport:
    """Replay the chain of a home, or of the copy of one; it is only read.

    `scratch` is an empty folder, the caller's to remove; `start` an earlier copy of a home to begin
    with. Raise `LocalError` (6103, 8004, 9001), `Rejected` (25xx) or `RuleSourceError` for a rule
    that could not be registered.
    """
    copy_database(home, scratch / "copy")
    if start is not None:
        copy_database(start, scratch / "replay")
    stored = LevelStore(scratch / "copy", create=False)
    replayed = LevelStore(scratch / "replay", create=start is None)
    try:
        return replay_store(stored, replayed, options, genesis, progress)
    finally:
        stored.close()
        replayed.close()


def replay_store(
    stored: Reader,
    scratch: Store,
    options: Options,
    genesis: bytes | None = None,
    progress: Progress = lambda _height, _last: None,
) -> WhatIfReport:
    """Replay the chain of an open store into an empty one; as `replay_home`.

    Where `scratch` holds a chain already, the replay goes on where that one ends.
    """
    chain = ChainStore(stored)
    document = chain.genesis()
    if document is None or genesis not in (None, document):
        raise LocalError(
            Code.AUDIT_FAILED, "the home's genesis is not the document that is trusted"
        )
    replay = _Replay(chain, scratch, options)
    replay.begin(document)
    replay.run(progress)
    return replay.report


class _Replay:
    """One replay; `report` fills while it runs."""

    def __init__(self, chain: ChainStore, scratch: Store, options: Options) -> None:
        self._chain = chain
        self._scratch = scratch
        self._options = options
        self._rule, self._cache = _compile(chain, options)
        self._loaded: dict[str, Product] = {}
        self._month: tuple[int, int] | None = None
        self.report = WhatIfReport(*_name(options.source))

    def begin(self, document: bytes) -> None:
        """Begin at genesis, or with what is there; raise `LocalError` (6103, 8004, 9001)."""
        start = ChainStore(self._scratch)
        if start.height() is None:
            check_whole(self._chain)
            self._scratch.write(execute_genesis(parse_genesis(document)).writes, sync=False)
            return
        self.report.start = check_start(self._chain, start)
        check_kept(start, self._rule)

    def run(self, progress: Progress) -> None:
        """Execute every block again; raise `LocalError` 9001 where one comes out differently."""
        head = self._chain.height() or 0
        last = head if self._options.until is None else min(head, self._options.until)
        handlers = {**HANDLERS, "loan.apply": self._observed(HANDLERS["loan.apply"])}
        for height in range(self.report.start + 1, last + 1):
            block = self._chain.block(height)
            if block is None:
                raise LocalError(Code.AUDIT_FAILED, f"block {height} is missing: audit the home")
            self._rerun(block, handlers)
            self._look_at_month(block)
            progress(height, last)
        self._compare_alerts(is_whole=last == head)
        self._note_alerts()

    def _rerun(self, block: StoredBlock, handlers: Mapping[str, Handler]) -> None:
        header = block.header
        transactions = self._chain.transactions(block)
        results, writes = rerun_block(
            self._scratch,
            header,
            block.batch(),
            transactions,
            rules=self._cache,
            handlers=handlers,
        )
        if encode_results(results) != encode_results(block.results):
            raise LocalError(
                Code.AUDIT_FAILED,
                f"block {header.height} gives other results when it is replayed: audit the home",
            )
        self._scratch.write(writes, sync=False)
        self.report.blocks += 1
        self.report.transactions += len(transactions)

    def _observed(self, handler: Handler) -> Handler:
        """Return the handler of applications, with the rule asked beside it."""

        def observed(context: Context) -> Any:
            old = self._find_asked(context)
            new = None if old is None else self._candidate(context.rules, old)
            verdict = None if new is None else _preview(context, new)
            data: Any = handler(context)
            self.report.applications += 1
            if verdict is not None:
                self.report.cases.append(
                    Case(
                        "application",
                        context.height,
                        context.day,
                        context.body["company"],
                        _as_decided(data),
                        verdict,
                    )
                )
            return data

        return observed

    def _find_asked(self, context: Context) -> Product | None:
        """Return the product that an application names, None where it is refused anyway."""
        try:
            ref = Fields(context.body).text("product")
            return get_effective_product(context.state, context.rules, ref, context.day)
        except Rejected:
            return None

    def _candidate(self, rules: Any, old: Product) -> Product | None:
        """Return the product that the rule asked about makes of one of the chain, or None."""
        rule = self._rule
        if isinstance(rule, Product):
            return rule if rule.id == old.id else None
        if not isinstance(rule, Scorecard) or rule.id != old.scorecard.id:
            return None
        if old.ref not in self._loaded:
            self._loaded[old.ref] = _with_scorecard(rules, old, rule)
        return self._loaded[old.ref]

    def _look_at_month(self, block: StoredBlock) -> None:
        """After the first block of a month, ask both rules about every company."""
        day = block.header.time_ms // MS_A_DAY
        moment = date.fromordinal(day + EPOCH_ORDINAL)
        month = moment.year, moment.month
        if not self._options.is_monthly or month == self._month:
            return
        self._month = month
        state = Overlay(self._scratch)
        rules = self._cache.over(state)
        height = block.header.height
        for key, _ in state.scan(COMPANIES, b""):
            company = key.decode()
            subject = Subject(state, ChainStore(self._scratch), company, None, day)
            for old, new in self._ask_of_company(rules, subject):
                self.report.cases.append(Case("month", height, day, company, old, new))

    def _ask_of_company(self, rules: Rules, subject: Subject) -> Iterable[tuple[Verdict, Verdict]]:
        rule = self._rule
        if isinstance(rule, Alert):
            yield from _ask_alerts(rules, subject, rule)
            return
        for ref in self._monthly_products(rules, rule):
            try:
                old = get_effective_product(subject.state, rules, ref, subject.day)
            except Rejected:
                continue
            new = self._candidate(rules, old)
            if new is not None and not (old.asset or new.asset):
                yield self._decide(rules, subject, old), self._decide(rules, subject, new)

    def _monthly_products(self, rules: Rules, rule: Product | Scorecard) -> tuple[str, ...]:
        ids = {ref.rpartition("/")[0] for ref in rules.references("product")}
        return tuple(sorted(ids & {rule.id} if isinstance(rule, Product) else ids))

    def _decide(self, rules: Rules, subject: Subject, product: Product) -> Verdict:
        asked = {"ap.amount": self._options.ask_fen, "ap.term": self._options.term_days}
        declared = {**self._options.declared, **asked}
        schema = rules.registered_schema(product.schema_ref)
        facts = compute_facts(subject, product, schema, declared)
        return _verdict(product.decide(facts))

    def _compare_alerts(self, is_whole: bool) -> None:
        """Raise unless the chain's alerts came out as they are stored; count them."""
        replayed = Overlay(self._scratch)
        if not is_whole:
            return
        for key, value in Overlay(self._chain.reader).scan(ALERTS, b""):
            if replayed.get(ALERTS, key) != value:
                raise LocalError(
                    Code.AUDIT_FAILED, f"alert {key.hex()} comes out differently: audit the home"
                )
            self.report.alerts += 1

    def _note_alerts(self) -> None:
        """Put what the watching alert raised beside what the chain's alerts of its id raised."""
        if self.report.kind != "alert":
            return
        own = self.report.ref.rpartition("/")[0]
        found: dict[tuple[str, int, int], list[Verdict | None]] = {}
        for _, value in Overlay(self._scratch).scan(ALERTS, b""):
            raised = RaisedAlert.from_value(value)
            rule = raised.rule.rpartition("/")[0]
            if rule in (own, own + WATCHED) and raised.height > self.report.start:
                place = raised.company, raised.height, raised.day
                pair = found.setdefault(place, [None, None])
                pair[rule != own] = _as_raised(raised)
        for (company, height, day), (old, new) in sorted(
            found.items(), key=lambda item: item[0][1]
        ):
            nothing = Verdict("", "NONE")
            self.report.cases.append(
                Case("alert", height, day, company, old or nothing, new or nothing)
            )


def _name(source: bytes) -> tuple[str, str]:
    """Return kind and reference of a document; raise `RuleSourceError`."""
    kind = load_kind(source)
    values = tomllib.loads(source.decode())
    return kind, f"{values.get('id')}/{values.get('version')}"


def _with_scorecard(rules: Any, product: Product, scorecard: Scorecard) -> Product:
    """Return the product as it would be with another scorecard; raise `LocalError` (8004)."""
    source: bytes = rules.source("product", product.ref)
    schema = rules.registered_schema(product.schema_ref)
    named = _SCORECARD.sub(b'scorecard = "%s"' % scorecard.ref.encode(), source, count=1)
    try:
        return load_product(named, schema, scorecard)
    except RuleSourceError as error:
        raise LocalError(
            Code.INPUT_USAGE,
            f"product {product.ref} cannot have scorecard {scorecard.ref}: {error}",
        ) from None


def _preview(context: Context, product: Product) -> Verdict:
    try:
        return _verdict(preview(context, product))
    except Rejected as error:
        return Verdict(product.ref, "REJECTED", reasons=(f"E{int(error.code)} {error.message}",))


def _verdict(decision: Decision) -> Verdict:
    reasons = tuple(f"{item.code} {item.condition}" for item in decision.reasons)
    return Verdict(
        decision.product,
        str(decision.outcome),
        decision.limit_fen,
        decision.amount_fen,
        decision.rate_bp,
        decision.score,
        reasons,
    )


def _as_decided(data: Mapping[str, Any]) -> Verdict:
    """Return what the chain decided, from the result of the application."""
    reasons = tuple(f"{code} {condition}" for code, condition, *_ in data["reasons"])
    return Verdict(
        data["product"],
        data["outcome"],
        data["limit_fen"],
        data["amount_fen"],
        data["rate_bp"],
        data["score"],
        reasons,
    )


def _as_raised(raised: RaisedAlert) -> Verdict:
    told = "REPEATED" if raised.is_repeat else "RAISED"
    cleared = () if raised.cleared_day is None else (f"cleared on day {raised.cleared_day}",)
    return Verdict(raised.rule.replace(WATCHED, ""), told, reasons=cleared)


def _ask_alerts(rules: Rules, subject: Subject, alert: Alert) -> Iterable[tuple[Verdict, Verdict]]:
    """Yield what the alert of this id in force says, and what this one does."""
    in_force = [
        item for item in rules.alerts(subject.day) if item.id == alert.id and item.ref != alert.ref
    ]
    windows = CompanyWindows(subject.state, subject.company)
    old = _holds(in_force[0], subject, windows) if in_force else Verdict("", "NONE")
    yield old, _holds(alert, subject, windows)


def _holds(alert: Alert, subject: Subject, windows: CompanyWindows) -> Verdict:
    features = (alert.features[name] for name in sorted(alert.inputs))
    outcome = alert.evaluate(subject.day, windows, compute_ledger_facts(subject, features))
    words = {True: "HOLDS", False: "CLEAR", None: "UNKNOWN"}
    seen = tuple(f"{name} = {value}" for name, value in outcome.inputs)
    return Verdict(alert.ref, words[outcome.holds], reasons=seen)
