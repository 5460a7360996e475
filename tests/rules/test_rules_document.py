"""docs/RULES.md: every document in it compiles, every command prints it, every value comes out.

A fence with a file name is written to a folder; commands are run there, beside the genesis of the
demonstration. A line `…` in what is printed stands for anything. The tables of expressions have
three columns: expression, facts, and what comes of them: a value, a kind of error, or "refused:"
with a part of the sentence.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands.cli import cli
from ledger.credit.rulebook import RuleCache
from ledger.errors import RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import compile_expression
from ledger.rules.documents import load_document, load_kind, read_parameters, to_days
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.quantities import parse_quantity
from ledger.rules.schema import Schema
from ledger.rules.source import Source
from ledger.rules.types import type_of_unit
from ledger.rules.units import Unit
from ledger.state.overlay import Overlay
from tests.genesis.demo_network import DemoNetwork
from tests.rules.mistakes import read_mistakes

_TEXT = (Path(__file__).parents[2] / "docs/RULES.md").read_text("utf-8")
_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DOCUMENTS = {name: text for kind, name, text in _FENCE.findall(_TEXT) if kind == "toml"}
_PARAMETERS = (
    '[params]\nshare = "80.00%"\ncap = "CNY 3000000.00"\nlongest = "365 days"\n'
    "since = 2015-01-01\nseats = 6\n"
)
# These need a network that runs; tests/commands/test_end_to_end.py types them at one.
_NETWORK_COMMANDS = {
    ("product", "register"), ("product", "show"), ("rule", "list"), ("rule", "show"),
    ("scorecard", "show"),
}  # fmt: skip


def _rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the tables whose first column is `heading`."""
    is_inside = False
    for line in _TEXT.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_inside = False
        elif cells[0] == heading:
            is_inside = True
        elif is_inside and not cells[0].startswith("---"):
            yield cells


def _plain(cell: str) -> str:
    """Return the text of code in a table, where a bar is written with a backslash."""
    return cell.replace("`", "").replace("\\|", "|")


_EXPRESSIONS = [tuple(map(_plain, row)) for row in _rows("expression")]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> DemoNetwork:
    return DemoNetwork(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def folder(network: DemoNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the genesis and the files of the document."""
    path = tmp_path_factory.mktemp("rules")
    (path / "genesis.bin").write_bytes(network.genesis.data)
    for name, text in _DOCUMENTS.items():
        (path / name).write_text(text, "utf-8")
    return path


@pytest.fixture(scope="module")
def schema(network: DemoNetwork) -> Schema:
    rules: Any = RuleCache().over(Overlay(network.store))
    found: Schema = rules.schema("company/1")
    return found


@pytest.mark.parametrize("name", [name for name in _DOCUMENTS if name != "companies.toml"])
def test_every_document_compiles(name: str, network: DemoNetwork) -> None:
    source = _DOCUMENTS[name].encode()
    RuleCache().over(Overlay(network.store)).compile(load_kind(source), source)


def test_the_products_are_registered_by_their_lender(network: DemoNetwork) -> None:
    for name in ("first.toml", "receivable.toml"):
        body = {"source": _DOCUMENTS[name].encode()}
        assert network.act("icbc-gd", "product.register", body)[0] == 0


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the document and the lines that it prints there."""
    for kind, _, text in _FENCE.findall(_TEXT):
        if kind == "console":
            for block in re.split(r"(?m)^\$ ", text)[1:]:
                command, *printed = block.splitlines()
                yield command, printed


@pytest.mark.parametrize(("command", "printed"), list(_commands()))
def test_every_command_prints_what_is_written(
    command: str, printed: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(command)[1:]
    if tuple(words[:2]) in _NETWORK_COMMANDS:
        assert printed == []
        return
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    want = [" ".join(line.split()) for line in printed]
    assert "…" in want or want == lines
    at = 0
    for line in want:
        if line != "…":
            assert line in lines[at:], f"{line!r} is not in {lines[at:]}"
            at += lines[at:].index(line) + 1


def _read(value: Any) -> Any:
    if isinstance(value, date):
        return to_days(value)
    parsed = parse_quantity(value) if isinstance(value, str) else None
    return value if parsed is None else parsed[1]


@pytest.mark.parametrize(("expression", "facts", "value"), _EXPRESSIONS)
def test_every_expression_gives_what_is_written(
    expression: str, facts: str, value: str, schema: Schema
) -> None:
    header = f'format = "smartrule/1"\nkind = "product"\n{_PARAMETERS}'
    parameters = read_parameters(load_document(header.encode(), "product"))
    environment = Environment({**schema.variables, **parameters})
    source = Source.of_text(expression)
    if value.startswith("refused: "):
        with pytest.raises(RuleSourceError) as caught:
            compile_expression(source, environment)
        assert value.removeprefix("refused: ") in caught.value.message
        return
    compiled = compile_expression(source, environment)
    lines = re.sub(r", (?=[a-z_]+(?:\.\w+)? = )", "\n", facts)
    known = tomllib.loads(re.sub(r"(?m)^([a-z_.0-9]+) =", r'"\1" =', lines))
    known = {name: _read(item) for name, item in known.items()}
    assert all(schema.features[name].accepts(item) for name, item in known.items())
    if value in set(ErrorKind):
        with pytest.raises(EvalError) as failed:
            compiled.evaluate(known)
        assert failed.value.kind == value
        return
    want = tomllib.loads(f"x = {value}")["x"]
    assert compiled.evaluate(known) == _read(want)
    parsed = parse_quantity(want) if isinstance(want, str) else None
    if parsed is not None:
        assert compiled.type == type_of_unit(Unit(parsed[0]))


def test_the_tables_are_found() -> None:
    assert len(_EXPRESSIONS) >= 25
    assert len(_DOCUMENTS) == 6


def test_the_mistakes_are_told_as_the_document_says() -> None:
    told = {mistake.new: mistake.told for mistake in read_mistakes()[1]}
    rows = list(_rows("you wrote"))
    assert len(rows) == 13
    for written, answer in rows:
        assert told[written.strip("`")].partition(": ")[2] == answer
