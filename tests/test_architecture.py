"""The rules of the house, held by reading the source: imports, determinism, sizes, habits.

Packages may import downwards only (DESIGN 1); what decides about the chain has no clock, no
chance, no sockets, no threads and no floats; functions, modules and classes stay small. Each breach
is named with file and line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ledger", "consensus", "network", "commands", "analytics", "genesis")
DETERMINISTIC = ("ledger", "consensus")

MAX_FUNCTION_LINES = 70
MAX_MODULE_LINES = 500
MAX_METHODS = 25

_BASE = {"ledger.errors", "ledger.encoding", "ledger.keys"}
_CHAIN = _BASE | {"ledger.chain", "ledger.transactions"}
_STATE = _CHAIN | {"ledger.storage", "ledger.state", "ledger.membership"}
_AREAS = _STATE | {"ledger.rules", "ledger.credit"}
_TOP = _AREAS | {"ledger.lending", "ledger.execution", "ledger.queries", "ledger.error_texts"}
_LEDGER = _TOP | {"ledger.audit", "ledger.snapshots"}

# What each part may import of the project, beside itself.
ALLOWED: Mapping[str, set[str]] = {
    "ledger": set(),
    "ledger.errors": set(),
    "ledger.encoding": {"ledger.errors"},
    "ledger.keys": {"ledger.errors"},
    "ledger.error_texts": {"ledger.errors", "ledger.refusals"},
    "ledger.refusals": _TOP,
    "ledger.chain": _BASE,
    "ledger.transactions": _BASE | {"ledger.chain"},
    "ledger.storage": _CHAIN,
    "ledger.state": _CHAIN | {"ledger.storage"},
    "ledger.membership": _CHAIN | {"ledger.storage", "ledger.state"},
    "ledger.rules": _BASE,
    "ledger.credit": _STATE | {"ledger.rules"},
    "ledger.lending": _AREAS,
    "ledger.execution": _AREAS | {"ledger.lending"},
    "ledger.queries": _AREAS | {"ledger.lending"},
    "ledger.snapshots": _CHAIN | {"ledger.storage", "ledger.state"},
    "ledger.audit": _TOP | {"ledger.snapshots"},
    "consensus": _BASE | {"ledger.chain"},
    "network": _LEDGER | {"consensus"},
    "genesis": _LEDGER | {"network"},
    "analytics": _LEDGER | {"genesis"},
    "commands": _LEDGER | {"consensus", "network", "genesis", "analytics", "node"},
    "node": _LEDGER | {"consensus", "network", "genesis", "commands"},
}

# Which modules, by prefix, may import a library; every other import of it is a breach.
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "plyvel": ("ledger.storage.leveldb",),
    "trio": ("network", "node"),
    "asyncio": (),
    "pyarrow": ("analytics", "commands"),
    "duckdb": ("analytics",),
}

CLOCKS_CHANCE_AND_SOCKETS = frozenset(
    {"time", "random", "secrets", "socket", "ssl", "threading", "multiprocessing", "subprocess",
     "concurrent", "uuid", "signal", "select", "selectors"}
)  # fmt: skip
FORBIDDEN_CALLS = frozenset(
    {"now", "utcnow", "today", "urandom", "getrandom", "monotonic", "monotonic_ns", "time_ns",
     "perf_counter", "getenv"}
)  # fmt: skip
# Files are the business of storage, and of the auditor who reads them from outside.
FILES = frozenset({"pathlib", "os", "io", "shutil", "tempfile", "fcntl"})
MAY_USE_FILES = ("ledger.storage", "ledger.audit")


@dataclass(frozen=True)
class Import:
    """One import: the dotted name, where, and whether the module runs it when it is imported."""

    name: str
    line: int
    is_at_import: bool


@dataclass(frozen=True)
class Module:
    """A parsed source file."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"

    def is_in(self, prefixes: tuple[str, ...]) -> bool:
        return any(self.name == item or self.name.startswith(f"{item}.") for item in prefixes)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, is_at_import=True))


def _imports(node: ast.AST, *, is_at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(item.name, child.lineno, is_at_import) for item in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            yield from (
                Import(f"{base}.{item.name}", child.lineno, is_at_import) for item in child.names
            )
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, is_at_import=is_at_import and not is_function)


def _read(path: Path) -> Module:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    text = path.read_text(encoding="utf-8")
    return Module(".".join(parts), path, text, ast.parse(text))


@cache
def sources() -> tuple[Module, ...]:
    """Return every module of the project, tests apart."""
    paths = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    paths += [path for path in (ROOT / "node.py",) if path.exists()]
    return tuple(map(_read, paths))


@cache
def checked_tests() -> tuple[Module, ...]:
    """Return every module of the tests."""
    return tuple(map(_read, sorted((ROOT / "tests").rglob("*.py"))))


def _part(name: str) -> str | None:
    """Return the part of the project that a module or an imported name belongs to."""
    pieces = name.split(".")
    if pieces[0] == "ledger" and len(pieces) > 1:
        return ".".join(pieces[:2])
    return pieces[0] if pieces[0] in (*PACKAGES, "node") else None


def test_imports_go_one_way() -> None:
    breaches = []
    for module in sources():
        part = _part(module.name)
        assert part in ALLOWED, f"{module.name}: say in ALLOWED what {part} may import"
        for item in module.imports:
            wanted = _part(item.name)
            if wanted not in (None, part) and wanted not in ALLOWED[part]:
                breaches.append(f"{module.at(item.line)}: {part} imports {item.name}")
    assert breaches == []


def test_nothing_imports_node_or_analytics_but_their_callers() -> None:
    breaches = [
        f"{module.at(item.line)}: imports {item.name}"
        for module in sources()
        for item in module.imports
        for name, callers in (
            ("node", ("node", "commands")),
            ("analytics", ("analytics", "commands")),
        )
        if item.name.split(".")[0] == name and not module.is_in(callers)
    ]
    assert breaches == []


def test_libraries_stay_in_their_place() -> None:
    breaches = [
        f"{module.at(item.line)}: imports {item.name}"
        for module in sources()
        for item in module.imports
        if item.name.split(".")[0] in ONLY_IN and not module.is_in(ONLY_IN[item.name.split(".")[0]])
    ]
    assert breaches == []


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {module.name for module in sources()}
    graph = {
        module.name: {
            target
            for item in module.imports
            if item.is_at_import
            for target in (item.name, item.name.rpartition(".")[0])
            if target in names and target != module.name
        }
        for module in sources()
    }
    # A package's own __init__ is run before its modules; a module that names it adds nothing.
    for name, targets in graph.items():
        graph[name] = {target for target in targets if not name.startswith(f"{target}.")}
    assert _circle(graph) is None


def _circle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """Return the modules of a circle, or None."""
    done: set[str] = set()

    def visit(name: str, above: list[str]) -> list[str] | None:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done:
            return None
        for target in sorted(graph[name]):
            found = visit(target, [*above, name])
            if found is not None:
                return found
        done.add(name)
        return None

    circles = (visit(name, []) for name in sorted(graph))
    return next((circle for circle in circles if circle is not None), None)


def test_a_circle_would_be_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def _deterministic() -> Iterator[Module]:
    yield from (module for module in sources() if module.is_in(DETERMINISTIC))


def test_deterministic_packages_have_no_clock_no_chance_no_sockets() -> None:
    breaches = [
        f"{module.at(item.line)}: imports {item.name}"
        for module in _deterministic()
        for item in module.imports
        if item.name.split(".")[0] in CLOCKS_CHANCE_AND_SOCKETS
    ]
    breaches += [
        f"{module.at(node.lineno)}: calls {node.func.attr}()"
        for module in _deterministic()
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in FORBIDDEN_CALLS
    ]
    assert breaches == []


def test_only_storage_and_audit_touch_files() -> None:
    breaches = [
        f"{module.at(item.line)}: imports {item.name}"
        for module in _deterministic()
        for item in module.imports
        if item.name.split(".")[0] in FILES and not module.is_in(MAY_USE_FILES)
    ]
    breaches += [
        f"{module.at(node.lineno)}: opens a file"
        for module in _deterministic()
        for node in module.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]
    assert breaches == []


def _float_breaches(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{module.at(node.lineno)}: float {node.value}"
        if isinstance(node, ast.Call) and _dotted(node.func) == "float":
            yield f"{module.at(node.lineno)}: calls float()"
        is_division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        # Where files are handled, a slash joins paths.
        if is_division and not module.is_in(MAY_USE_FILES):
            yield f"{module.at(node.lineno)}: divides into a float"


def test_no_floats_where_money_and_votes_are() -> None:
    assert [breach for module in _deterministic() for breach in _float_breaches(module)] == []


def _functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short() -> None:
    breaches = []
    for module in (*sources(), *checked_tests()):
        for function in _functions(module):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                breaches.append(f"{module.at(function.lineno)}: {function.name} has {lines} lines")
    assert breaches == []


def test_modules_are_short() -> None:
    breaches = [
        f"{module.at(1)}: {lines} lines"
        for module in sources()
        if (lines := len(module.text.splitlines())) > MAX_MODULE_LINES
    ]
    assert breaches == []


def test_classes_have_few_methods() -> None:
    breaches = []
    for module in sources():
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                methods = [
                    item
                    for item in node.body
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
                ]
                if len(methods) > MAX_METHODS:
                    breaches.append(f"{module.at(node.lineno)}: {node.name} has {len(methods)}")
    assert breaches == []


def test_every_module_says_what_it_is_for() -> None:
    breaches = [module.at(1) for module in sources() if not ast.get_docstring(module.tree)]
    assert breaches == []


def test_nothing_is_left_for_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    breaches = [
        f"{module.at(number)}: {word}"
        for module in (*sources(), *checked_tests())
        for number, line in enumerate(module.text.splitlines(), start=1)
        for word in words
        if word in line.replace("_", " ").split("#")[-1].split() or f"{word}:" in line
    ]
    assert breaches == []


def _is_silent(handler: ast.ExceptHandler) -> bool:
    is_broad = handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )
    return is_broad and all(isinstance(item, ast.Pass) for item in handler.body)


def test_no_error_is_swallowed() -> None:
    breaches = [
        module.at(node.lineno)
        for module in (*sources(), *checked_tests())
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _is_silent(node))
    ]
    assert breaches == []


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_tests_neither_sleep_nor_look_away() -> None:
    forbidden = {"time.sleep", "trio.sleep", "pytest.mark.skip", "pytest.mark.xfail"}
    breaches = [
        f"{module.at(node.lineno)}: {_dotted(node)}"
        for module in checked_tests()
        for node in module.nodes
        if isinstance(node, ast.Attribute) and _dotted(node) in forbidden
    ]
    assert breaches == []


@pytest.mark.parametrize(
    ("source", "count"),
    [("x = 1.5", 1), ("x = float(1)", 1), ("x = a / b", 1), ("x = a // b", 0), ("x /= 2", 1)],
)
def test_floats_would_be_found(source: str, count: int) -> None:
    module = Module("ledger.made_up", ROOT / "ledger" / "made_up.py", source, ast.parse(source))
    assert len(list(_float_breaches(module))) == count
