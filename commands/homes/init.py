"""`creditledger init`: the home of a node, from the genesis document and the node's keys."""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import say
from commands.frame import Command
from commands.passwords import old_password

_PATH = click.Path(path_type=Path)


@click.command(
    "init",
    cls=Command,
    example="creditledger init --home /var/lib/creditledger --genesis genesis.bin --member D02 "
    "--keys keys/ --listen 0.0.0.0:7001",
)
@click.option("--home", type=_PATH, required=True, help="Folder to make; it must be new or empty.")
@click.option("--genesis", type=_PATH, required=True, help="The genesis document.")
@click.option("--member", required=True, help="Whose node it is.")
@click.option("--keys", type=_PATH, required=True, help="Folder of node.key, tls.key, tls.crt.")
@click.option("--listen", required=True, help="host:port for peers and clients.")
@click.option("--metrics", help="host:port for Prometheus and health (default: none).")
@click.option("--password-file", type=_PATH, help="File with the keys' password.")
def command(
    home: Path,
    genesis: Path,
    member: str,
    keys: Path,
    listen: str,
    metrics: str | None,
    password_file: Path | None,
) -> None:
    """Make the home of a node: settings, genesis, keys, an empty vote log, the first state.

    Compare `creditledger genesis verify` with the other members first. Then `creditledger run`.
    """
    from commands.homes.making import make_home

    layout = make_home(
        home,
        member=member,
        genesis_file=genesis,
        keys=keys,
        listen=listen,
        metrics=metrics,
        password=old_password(password_file),
    )
    say(str(layout.folder))
