"""`creditledger export`: what a node's disk holds, as files for analysis."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from commands.console import progress, say, show_json
from commands.frame import Command, Group, json_option
from commands.values import DAY, day
from ledger.errors import Code, LocalError


@click.group("export", cls=Group)
def command() -> None:
    """Files for analysis, from the home of a node that does not run."""


@command.command(
    "facts",
    cls=Command,
    example="creditledger export facts --home backup --schema company/2 --out facts.parquet",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The home of a stopped node, or a copy of one (creditledger backup).",
)
@click.option("--schema", required=True, help="The feature schema, such as company/2.")
@click.option("--as-of", "as_of", type=DAY, help="The day (default: the last block's).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A Parquet file.")
@click.option("--scratch", type=click.Path(path_type=Path), help="Where to put the copy it reads.")
@json_option
def facts(
    home: Path, schema: str, as_of: int | None, out: Path, scratch: Path | None, as_json: bool
) -> None:
    """Write the facts of every company, one row each, as products would be decided on.

    For the operator of a node: it reads what his disk holds anyway, asks nobody, and leaves no look
    in any company's log. The file holds what companies authorised nobody to read, so only its owner
    may open it: keep it as the home is kept. Everything is as known at the last block; an earlier
    --as-of moves the windows back, not what was reported since. Of each kind of asset the company's
    best one stands for it.
    """
    try:
        from analytics.export.facts import count_companies, export_facts
    except ImportError as error:
        message = f"{error.name} is not installed: pip install 'creditledger[analytics]'"
        raise LocalError(Code.INPUT_USAGE, message) from None
    from analytics.export.home import open_copy

    with (
        TemporaryDirectory(prefix="creditledger-", dir=scratch) as folder,
        open_copy(home, Path(folder)) as reader,
        progress("exporting", count_companies(reader), "companies") as bar,
    ):
        done = export_facts(reader, schema, as_of, out, bar.advance)
        seconds = bar.seconds
    if as_json:
        show_json(
            {
                "file": str(out),
                "schema": done.snapshot.schema,
                "as_of": done.snapshot.as_of,
                "height": done.snapshot.height,
                "companies": done.companies,
                "features": done.features,
                "bytes": out.stat().st_size,
                "seconds": round(seconds, 1),
            }
        )
        return
    say(
        f"{out}: {done.companies:,} companies, {done.features} features of {schema} on "
        f"{day(done.snapshot.as_of)}, at block {done.snapshot.height:,}"
    )
