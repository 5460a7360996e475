"""`creditledger run`: a node on its home, in the foreground, until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from commands.frame import Command


@click.command("run", cls=Command, example="creditledger run --home /var/lib/creditledger")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    required=True,
    help="The node's home: config.toml, genesis, keys, database, votes.",
)
def command(home: Path) -> None:
    """Run the node of a home; logs go to stdout, SIGTERM and Ctrl-C stop it cleanly."""
    import node
    from ledger.storage.home import check_home

    check_home(home)
    node.run(home)
