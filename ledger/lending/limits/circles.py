"""Guarantee circles: companies that stand for each other, so that one failure takes all of them.

Who guarantees whom comes from the annual reports of the registrar (C016, where the debtor is given
by its code; a bare name may be anybody's and links nobody) and from what companies declare (S004).
When records of either kind touch a company, its links are brought up to date while alerts are
looked at, so that a block does bounded work; what C011 says of its holdings is brought up to date
with them (`ledger.lending.limits.related`).

A company's last annual report with guarantees takes the place of the earlier ones: each lists what
it stands for at the year's end. A guarantee ends when its records say so: `until_on` of S004, or
the guarantor's period after the debt fell due (`performance_to` of C016 and PERIOD_DAYS, the six
months of the Guarantee Law 25 and 26, Civil Code 692); one without such a date does not end.

Two things are found. A circle is a set of companies each of which guarantees, over others perhaps,
each of the others: a strongly connected component of two or more (Tarjan 1972, without recursion).
A dense group is a set each of which is linked to CORE_LINKS others of it: a core of the graph
without directions (Seidman 1983; Batagelj, Zaveršnik 2003). Both take time in proportion to the
links, of which one question looks at MAX_LINKS.

GUARANTEE_LINKS holds, by guarantor and debtor, the amounts by their last day and the records it
rests on, as an entry of the authenticated tree by itself: `circles.show` gives each link with its
proof. What has ended is left out when somebody asks. Regulators only.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeGuard

from ledger.credit.records import PlacedRecord, RecordStatus, get_records, read_fields
from ledger.credit.uscc import check_uscc
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.limits.related import CONTROL_BP, get_group, put_holdings
from ledger.lending.limits.watch import Site, process_related
from ledger.membership.context import BodyReader, Query, QueryContext, Role
from ledger.state.overlay import Overlay, leaf_key
from ledger.state.tables import GUARANTEE_LINKS
from ledger.state.tree import StateTree
from ledger.transactions.fields import Fields

REPORTED, DECLARED, HOLDINGS = "C016", "S004", "C011"
MAX_RECORDS = 500  # the latest of one company and category that links are made of
MAX_BEHIND = 16  # records that one link names
MAX_LINKS = 50_000
MAX_FOLLOWED = 2_000  # companies that are followed from one
MAX_LISTED = 200
MAX_PROVED = 100
CORE_LINKS = 3
PERIOD_DAYS = 184  # how long a guarantor is held to a debt after it fell due
_CODE = 18
_ENDLESS = 1 << 31  # a last day that no day comes after
# Category → the fields that name the debtor, the amount and the last day, and the days after it.
_SOURCES = {
    REPORTED: ("debtor", "principal_amount", "performance_to", PERIOD_DAYS),
    DECLARED: ("debtor_uscc", "amount", "until_on", 0),
}

Graph: TypeAlias = Mapping[str, Collection[str]]


def process_links(site: Site, bodies: BodyReader, company: str, touched: Collection[str]) -> None:
    """Bring links of a company up to date that records of these categories may have changed."""
    if not _SOURCES.keys().isdisjoint(touched):
        _process_guarantees(site.state, bodies, company)
    if HOLDINGS in touched:
        before, _ = get_group(site.state, company)
        if put_holdings(site.state, company, _find_held(site.state, bodies, company)):
            after, _ = get_group(site.state, company)
            process_related(site, tuple(sorted({*before, *after})))


def _find_held(state: Overlay, bodies: BodyReader, company: str) -> Iterator[str]:
    """Yield the companies of which this one holds CONTROL_BP or more, by its current records."""
    for _, fields in _read_current(state, bodies, company, HOLDINGS):
        held, share_bp = fields.get("investee_uscc"), fields.get("share_ratio")
        if _is_code(held) and type(share_bp) is int and share_bp >= CONTROL_BP:
            yield held


def _process_guarantees(state: Overlay, bodies: BodyReader, company: str) -> None:
    amounts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    behind: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for category, (debtor_field, amount_field, end_field, days_after) in _SOURCES.items():
        found = list(_read_current(state, bodies, company, category))
        last_year = max((fields.get("report_year", 0) for _, fields in found), default=0)
        for placed, fields in found:
            debtor, amount_fen = fields.get(debtor_field), fields.get(amount_field)
            if not _is_code(debtor) or debtor == company or type(amount_fen) is not int:
                continue
            if fields.get("report_year", 0) != last_year:
                continue
            end = fields.get(end_field)
            amounts[debtor][_ENDLESS if end is None else end + days_after] += amount_fen
            entry = placed.entry
            behind[debtor].append(
                (category, placed.day, entry.digest, entry.height, entry.position, entry.index)
            )
    present = {key[_CODE:].decode() for key, _ in state.scan(GUARANTEE_LINKS, company.encode())}
    for debtor in sorted(present | amounts.keys()):
        value = None
        if debtor in amounts:
            value = (tuple(sorted(amounts[debtor].items())), tuple(behind[debtor][-MAX_BEHIND:]))
        if state.get(GUARANTEE_LINKS, _key(company, debtor)) != value:
            state.put(GUARANTEE_LINKS, _key(company, debtor), value)


def _read_current(
    state: Overlay, bodies: BodyReader, company: str, category: str
) -> Iterator[tuple[PlacedRecord, Mapping[str, Any]]]:
    """Yield the latest current records of a category, with their fields."""
    current = (
        placed
        for placed in get_records(state, company, category, None, None)
        if placed.entry.status is RecordStatus.CURRENT
    )
    for placed in deque(current, maxlen=MAX_RECORDS):
        entry = placed.entry
        yield placed, read_fields(bodies, entry.height, entry.position, entry.index)


def _is_code(value: object) -> TypeGuard[str]:
    if type(value) is not str:
        return False
    try:
        check_uscc(value)
    except Rejected:
        return False
    return True


def _key(guarantor: str, debtor: str) -> bytes:
    return guarantor.encode() + debtor.encode()


def compute_circles(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Return the strongly connected components of two or more, each in order, by first member."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in sorted(graph):
        if start in order:
            continue
        work = [(start, iter(sorted(graph.get(start, ()))))]
        order[start] = lowest[start] = len(order)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, others = work[-1]
            other = next(others, None)
            if other is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[node])
                if lowest[node] == order[node]:
                    component = _pop_until(stack, node)
                    on_stack.difference_update(component)
                    found += [component] * (len(component) > 1)
            elif other not in order:
                order[other] = lowest[other] = len(order)
                stack.append(other)
                on_stack.add(other)
                work.append((other, iter(sorted(graph.get(other, ())))))
            elif other in on_stack:
                lowest[node] = min(lowest[node], order[other])
    return tuple(sorted(found))


def _pop_until(stack: list[str], node: str) -> tuple[str, ...]:
    component = [stack.pop()]
    while component[-1] != node:
        component.append(stack.pop())
    return tuple(sorted(component))


def compute_dense(graph: Graph, least: int = CORE_LINKS) -> tuple[tuple[str, ...], ...]:
    """Return the connected parts of the core in which each is linked to `least` others."""
    both: dict[str, set[str]] = defaultdict(set)
    for company, others in graph.items():
        for other in others:
            if other != company:
                both[company].add(other)
                both[other].add(company)
    poor = deque(company for company, others in both.items() if len(others) < least)
    while poor:
        company = poor.popleft()
        for other in both.pop(company):
            both[other].discard(company)
            if len(both[other]) == least - 1:
                poor.append(other)
    return _parts(both)


def _parts(both: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    seen: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in sorted(both):
        if start in seen:
            continue
        part = _reach(both, start)
        seen |= part
        found.append(tuple(sorted(part)))
    return tuple(found)


def _reach(graph: Graph, start: str) -> set[str]:
    found, queue = {start}, deque([start])
    while queue:
        for other in graph.get(queue.popleft(), ()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found


def find_cycle(graph: Graph, circle: Sequence[str]) -> tuple[str, ...]:
    """Return a shortest cycle through the first company of a circle: it guarantees the second …"""
    start, members = circle[0], set(circle)
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other in sorted(members.intersection(graph.get(node, ()))):
            if other == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return tuple(reversed(path))
            if other not in came_from:
                came_from[other] = node
                queue.append(other)
    return ()


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`circles.list` {}: every circle and dense group, those with most at stake first."""
    Fields(body).done()
    _check_regulator(context)
    links = list(islice(_read_links(context.state, b"", context.day), MAX_LINKS + 1))
    graph, amounts = _graph_of(links[:MAX_LINKS])
    circles = [_describe(graph, amounts, item) for item in compute_circles(graph)]
    dense = [_describe(graph, amounts, item) for item in compute_dense(graph)]
    return {
        "circles": _most(circles),
        "dense": _most(dense),
        "links": min(len(links), MAX_LINKS),
        "is_complete": len(links) <= MAX_LINKS,
    }


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`circles.show` {company}: the circle it is in, each link with its records and its proof.

    `header` is that of the block whose state root the proofs lead to; `value` of a link is the
    entry that is proved. Records are (category, day, digest, height, position, index).
    """
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    _check_regulator(context)
    links, is_complete = _follow(context.state, company, context.day)
    graph, amounts = _graph_of(links)
    circle = next((item for item in compute_circles(graph) if company in item), ())
    head = context.chain.head()
    if head is None:
        raise Rejected(Code.NOT_FOUND, "the store holds no block")
    tree = StateTree(context.state.base, head.state_root)
    shown: list[Value] = []
    for guarantor, debtor, (amount_fen, records) in links:
        if guarantor not in circle or debtor not in circle or len(shown) >= MAX_PROVED:
            continue
        key = _key(guarantor, debtor)
        shown.append(
            {
                "guarantor": guarantor,
                "debtor": debtor,
                "amount_fen": amount_fen,
                "is_self_declared": all(item[0] == DECLARED for item in records),
                "records": records,
                "value": context.state.base.get(GUARANTEE_LINKS.prefix + key),
                "proof": tree.prove(leaf_key(GUARANTEE_LINKS, key)).encoded(),
            }
        )
    return {
        "company": company,
        "circle": _describe(graph, amounts, circle) if circle else None,
        "links": shown,
        "is_complete": is_complete,
        "header": head.encoded(),
    }


def _check_regulator(context: QueryContext) -> None:
    if context.caller.role is not Role.REGULATOR:
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} is not a regulator")


_Link: TypeAlias = tuple[str, str, tuple[int, Any]]


def _read_links(state: Overlay, prefix: bytes, day: int) -> Iterator[_Link]:
    """Yield the links that have not ended before `day`, with what is still guaranteed."""
    for key, (amounts, records) in state.scan(GUARANTEE_LINKS, prefix):
        open_fen = [fen for last_day, fen in amounts if last_day >= day]
        if open_fen:
            yield key[:_CODE].decode(), key[_CODE:].decode(), (sum(open_fen), records)


def _follow(state: Overlay, company: str, day: int) -> tuple[list[_Link], bool]:
    """Return the links that lead on from a company, and whether that is all of them."""
    links: list[_Link] = []
    found, queue = {company}, deque([company])
    while queue:
        for link in _read_links(state, queue.popleft().encode(), day):
            links.append(link)
            if link[1] in found:
                continue
            if len(found) >= MAX_FOLLOWED or len(links) >= MAX_LINKS:
                return links, False
            found.add(link[1])
            queue.append(link[1])
    return links, True


def _graph_of(
    links: Iterable[_Link],
) -> tuple[dict[str, set[str]], dict[tuple[str, str], int]]:
    graph: dict[str, set[str]] = defaultdict(set)
    amounts: dict[tuple[str, str], int] = {}
    for guarantor, debtor, (amount_fen, _) in links:
        graph[guarantor].add(debtor)
        amounts[guarantor, debtor] = amount_fen
    return graph, amounts


def _describe(
    graph: Graph, amounts: Mapping[tuple[str, str], int], companies: Sequence[str]
) -> dict[str, Any]:
    members = set(companies)
    inside = [
        (company, other)
        for company in companies
        for other in members.intersection(graph.get(company, ()))
    ]
    return {
        "companies": list(companies[:MAX_LISTED]),
        "count": len(companies),
        "links": len(inside),
        "amount_fen": sum(amounts[pair] for pair in inside),
        "cycle": list(find_cycle(graph, companies)),
    }


def _most(found: list[dict[str, Any]]) -> list[Value]:
    found.sort(key=lambda item: (-item["amount_fen"], item["companies"]))
    return list(found[:MAX_LISTED])


QUERIES: Mapping[str, Query] = {"circles.list": query_list, "circles.show": query_show}
