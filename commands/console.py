"""What is printed: tables and progress for people, plain columns in a pipe, JSON for programs.

rich is imported only where a terminal looks at the output, so that a command in a script starts
quickly and its output has no frames, colours or cut lines.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import click

from commands.values import json_ready


def is_terminal() -> bool:
    """Tell whether a person looks at stdout."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """Print a line."""
    click.echo(text)


def warn(text: str) -> None:
    """Print a line to stderr, where it does not disturb a pipe."""
    click.echo(text, err=True)


def show_json(value: Any) -> None:
    """Print a value as indented JSON with sorted keys."""
    click.echo(json.dumps(json_ready(value), indent=2, sort_keys=True, ensure_ascii=False))


def show_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below headers; a column whose cells are all numbers is set to the right."""
    numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(headers))]
    if is_terminal():
        _show_rich(title, headers, rows, numeric)
        return
    widths = [max(_width(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    if title:
        click.echo(title)
    for row in (headers, *rows):
        cells = [_pad(row[i], widths[i], numeric[i]) for i in range(len(headers))]
        click.echo("  ".join(cells).rstrip())


def show_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print names and values, one a line."""
    if title:
        click.echo(click.style(title, bold=True))
    width = max((_width(name) for name in facts), default=0)
    for name, value in facts.items():
        click.echo(f"  {_pad(name, width, False)}  {value}".rstrip())


def _show_rich(
    title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for header, is_number in zip(headers, numeric, strict=True):
        table.add_column(header, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    Console().print(table)


def _is_numeric(cells: Sequence[str]) -> bool:
    return bool(cells) and all(cell and set(cell) <= set("0123456789,.-+%") for cell in cells)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, width: int, is_right: bool) -> str:
    fill = " " * max(0, width - _width(text))
    return fill + text if is_right else text + fill


class Progress:
    """Work done so far, shown with its rate on a terminal and not at all elsewhere."""

    def __init__(self, show: Callable[[int], None] | None = None) -> None:
        self._show = show
        self._started = monotonic()
        self.done = 0

    def advance(self, amount: int = 1) -> None:
        """Count `amount` more as done, and show it."""
        self.done += amount
        if self._show is not None:
            self._show(amount)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(monotonic() - self._started, 1e-9)

    @property
    def rate(self) -> float:
        """Units a second, over the whole time."""
        return self.done / self.seconds


@contextmanager
def progress(label: str, total: int | None, unit: str = "") -> Iterator[Progress]:
    """Show a bar for `total` units (None: not known) while the block runs."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, rate=unit)

        def advance(amount: int) -> None:
            bar.update(task, advance=amount, rate=f"{work.rate:,.0f} {unit}/s")

        work = Progress(advance)
        yield work
