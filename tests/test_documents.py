"""The documents say what is: links resolve, files exist, commands parse, named tests are there.

Every fenced block is read for lines that begin with `creditledger` (or `$ creditledger`): each must
parse against the command tree, with its options and subcommands, without being run. Every path in
backticks that begins with a folder of the project must exist, and every `file::function` of
docs/PBFT.md must be a test.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from commands.cli import cli
from network.runtime import metrics

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = "analytics|commands|consensus|docs|genesis|ledger|network|scripts|tests"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?<![\w/.])(?:\./)?((?:{FOLDERS})/[\w./-]*|node\.py|setup\.cfg)(?=[\s`]|$)")
_TEST = re.compile(r"`(test_\w+)::(test_\w+)`")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What stands in a command line where the reader puts his own.
_ELLIPSIS = re.compile(r"…|\$\([^)]*\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def _command_lines(text: str) -> Iterator[str]:
    """Yield the arguments of every `creditledger …` in fenced blocks and in backticks."""
    spans = _CODE.findall(_without_blocks(text))
    lines = [line for block in _FENCE.findall(text) for line in block.splitlines()]
    for line in [*lines, *spans]:
        match = re.match(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*creditledger (.+)$", line)
        if match is not None:
            yield re.split(r"\s+#|\s+&&|\s+\|", match[1])[0]


def _parse(context: click.Context, command: click.Command, arguments: list[str]) -> None:
    """Parse a command line as click would, down to the last subcommand, and run nothing."""
    if not isinstance(command, click.Group):
        command.make_context(context.info_name or "", arguments, parent=context.parent)
        return
    made = command.make_context(context.info_name or "", arguments, parent=context.parent)
    rest = [*made._protected_args, *made.args]
    if not rest:
        return
    found = command.get_command(made, rest[0])
    if found is None:
        raise click.UsageError(f"no command {rest[0]!r}")
    _parse(click.Context(found, parent=made, info_name=rest[0]), found, rest[1:])


def check_command_line(line: str) -> None:
    """Raise `click.ClickException` unless `creditledger LINE` parses."""
    arguments = [_ELLIPSIS.sub("0" * 64, item) for item in shlex.split(line) if item != "&"]
    try:
        _parse(click.Context(cli, info_name="creditledger"), cli, arguments)
    except click.exceptions.Exit:
        return  # --help, --version
    except click.MissingParameter:
        # A command that is only named, as in "see `creditledger audit`".
        if any(item.startswith("-") for item in arguments):
            raise


@pytest.fixture(autouse=True)
def _no_files_are_looked_for(monkeypatch):
    """The reader has the files that a command line names; here they are not."""
    monkeypatch.setattr(click.Path, "convert", lambda _path, value, *_: value)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_command_lines_parse(path):
    for line in _command_lines(path.read_text(encoding="utf-8")):
        try:
            check_command_line(line)
        except click.ClickException as error:
            pytest.fail(f"{_name(path)}: creditledger {line}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    [
        "audit copy --truth genesis.bin",
        "keys fresh member D02",
        "submit --map a.toml",
        "status --via",
        "explode",
    ],
)
def test_wrong_command_lines_would_be_found(line):
    with pytest.raises(click.ClickException):
        check_command_line(line)


def test_command_lines_are_found_at_all():
    lines = [line for path in DOCUMENTS for line in _command_lines(path.read_text())]
    assert len(lines) > 40
    assert any(line.startswith("submit invoices.csv") for line in lines)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_resolve(path):
    for target in _LINK.findall(_without_blocks(path.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{_name(path)}: link to {target}"
        if anchor:
            assert anchor in _anchors(found), f"{_name(path)}: link to {target}"


@cache
def _anchors(path: Path) -> frozenset[str]:
    """Return the anchors that a renderer makes of the headings."""
    titles = _HEADING.findall(_without_blocks(path.read_text(encoding="utf-8")))
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return frozenset(title.strip().replace(" ", "-") for title in plain)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_files_that_are_named_exist(path):
    for span in _CODE.findall(_without_blocks(path.read_text(encoding="utf-8"))):
        for name in _PATH.findall(span):
            assert (ROOT / name).exists(), f"{_name(path)}: {name}"


@cache
def _tests() -> frozenset[tuple[str, str]]:
    return frozenset(
        (file.stem, node.name)
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_decision_has_a_number_of_its_own_and_its_parts():
    paths = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert "\nStatus: " in text, path.name
        for part in ("Context", "Decision", "Alternatives", "Consequences"):
            assert f"\n## {part}\n" in text, f"{path.name}: {part}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_tests_that_are_named_exist(path):
    named = _TEST.findall(path.read_text(encoding="utf-8"))
    missing = sorted(f"{file}::{name}" for file, name in named if (file, name) not in _tests())
    assert missing == []


def test_every_rule_and_every_fault_has_its_row():
    text = (ROOT / "docs/PBFT.md").read_text(encoding="utf-8")
    rules = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    faults = [int(number) for number in re.findall(r"^\| F(\d+) \|", text, re.MULTILINE)]
    assert rules == list(range(1, 55))
    assert faults == list(range(1, 91))


def test_every_metric_is_explained_and_every_explained_one_exists():
    text = (ROOT / "docs/OPERATING.md").read_text(encoding="utf-8")
    table = text.partition("| metric ")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))))
    assert named - {"creditledger_"} == set(metrics._HELP)
