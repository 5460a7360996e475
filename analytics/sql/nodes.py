"""SQL as a graph: equal parts exist once, and what is used twice becomes a column.

A `Node` is a template over other nodes. `Graph.make` returns the same node for the same template
and arguments, so work that several rules share is one node. `compute_stages` then turns the graph
into a few SELECTs, one inside the other: a part that occurs more than once in the text is computed
in an inner SELECT under a name and read by that name further out. The text stays linear in the size
of the rules, however they are nested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analytics.sql import dialect

# A part nested deeper than this becomes a column: engines bound the depth of an expression.
_MAX_TEXT_HEIGHT = 24


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An expression: `{0}`, `{1}` … in the template are the arguments; a leaf is plain text."""

    template: str
    arguments: tuple[Node, ...] = ()

    def count_uses(self, index: int) -> int:
        """Return how often the text repeats an argument."""
        return self.template.count(f"{{{index}}}")


@dataclass(slots=True)
class Graph:
    """Nodes by what they say; the owner of every node of one plan."""

    _known: dict[tuple[str, tuple[int, ...]], Node] = field(default_factory=dict)

    def leaf(self, text: str) -> Node:
        """Return the node of a literal or a column of the table; braces in it mean nothing."""
        return self._known.setdefault((text, ()), Node(text))

    def make(self, template: str, *arguments: Node) -> Node:
        """Return the node of `template` over `arguments`; want at least one argument."""
        key = (template, tuple(map(id, arguments)))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Node(template, arguments)
        return found

    def join(self, word: str, arguments: Sequence[Node]) -> Node:
        """Return `(a WORD b WORD c)`, and the one argument itself where there is but one."""
        if len(arguments) == 1:
            return arguments[0]
        holes = (f"{{{index}}}" for index in range(len(arguments)))
        return self.make(f"({f' {word} '.join(holes)})", *arguments)


@dataclass(frozen=True, slots=True)
class Stage:
    """Columns to add to what the stages before give: (name, SQL) in a fixed order."""

    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """Inner SELECTs, the innermost first, and the columns of the outermost one by name."""

    inner: tuple[Stage, ...]
    outputs: tuple[tuple[str, str], ...]

    def render(self, source: str) -> str:
        """Return the whole SELECT over `source`, a table or a query in brackets."""
        text = source
        for stage in self.inner:
            added = ",\n  ".join(f"{sql} AS {name}" for name, sql in stage.columns)
            text = f"(SELECT *,\n  {added}\nFROM {text})"
        chosen = ",\n  ".join(f"{sql} AS {dialect.column(name)}" for name, sql in self.outputs)
        return f"SELECT\n  {chosen}\nFROM {text}"


def compute_stages(outputs: Mapping[str, Node]) -> Stages:
    """Return the SELECTs that compute `outputs`; repeated parts become columns c0, c1, …"""
    return _Staging(outputs).compute()


def _walk(roots: Sequence[Node]) -> Iterator[Node]:
    """Yield every node once, arguments before what uses them."""
    seen: set[int] = set()
    pending = [(node, False) for node in reversed(roots)]
    while pending:
        node, is_done = pending.pop()
        if is_done:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending.extend((argument, False) for argument in reversed(node.arguments))


class _Staging:
    """One computation; per node its text, the height of the text, and the stage it needs."""

    def __init__(self, outputs: Mapping[str, Node]) -> None:
        self._outputs = outputs
        self._nodes = list(_walk(list(outputs.values())))
        self._uses = self._count_uses()
        self._texts: dict[int, str] = {}
        self._heights: dict[int, int] = {}
        self._levels: dict[int, int] = {}
        self._columns: list[list[tuple[str, str]]] = []

    def _count_uses(self) -> dict[int, int]:
        uses: dict[int, int] = dict.fromkeys(map(id, self._nodes), 0)
        for node in self._nodes:
            for index, argument in enumerate(node.arguments):
                uses[id(argument)] += node.count_uses(index)
        for node in self._outputs.values():
            uses[id(node)] += 1
        return uses

    def compute(self) -> Stages:
        for node in self._nodes:
            self._place(node)
        outputs = tuple((name, self._texts[id(node)]) for name, node in self._outputs.items())
        return Stages(tuple(Stage(tuple(columns)) for columns in self._columns), outputs)

    def _place(self, node: Node) -> None:
        key = id(node)
        if not node.arguments:
            self._texts[key], self._heights[key], self._levels[key] = node.template, 0, 0
            return
        inside = [id(argument) for argument in node.arguments]
        text = node.template.format(*(self._texts[item] for item in inside))
        height = 1 + max(self._heights[item] for item in inside)
        level = max(self._levels[item] for item in inside)
        if self._uses[key] > 1 or height > _MAX_TEXT_HEIGHT:
            text, height, level = self._bind(text, level), 0, level + 1
        self._texts[key], self._heights[key], self._levels[key] = text, height, level

    def _bind(self, text: str, level: int) -> str:
        """Give `text` a name in the stage after those of its arguments."""
        while len(self._columns) <= level:
            self._columns.append([])
        name = f"c{sum(map(len, self._columns))}"
        self._columns[level].append((name, text))
        return name
