"""`creditledger loan letter`: a decision for the person whom it concerns.

The commands of loans are one group; this one joins it as those of `commands.loans.servicing` do.
"""

from __future__ import annotations

from pathlib import Path

import click

from commands.console import say
from commands.files import replace
from commands.frame import identity_option
from commands.letters.phrases import ENGLISH, LANGUAGES
from commands.loans import servicing
from commands.session import open_session, trusted_genesis

command = servicing.command


@command.command(
    "letter", example="creditledger loan letter 77c0… --lang zh --as 91441300MA4DEMO01X"
)
@click.argument("application")
@click.option("--lang", type=click.Choice(LANGUAGES), default=ENGLISH, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this file.")
@click.option(
    "--trust", type=click.Path(path_type=Path), help="Genesis to trust (default: the network's)."
)
@identity_option
@click.pass_context
def letter(
    context: click.Context,
    application: str,
    lang: str,
    out: Path | None,
    trust: Path | None,
    identity: str,
) -> None:
    """Write the decision on APPLICATION as a letter in plain English or Chinese.

    Reasons come first, with the inputs that failed; then the smallest change that would pass, the
    records that each input came from, and how to object. The rule is run again on this machine: the
    letter says whether the result is the same. For the company, the lender and regulators.
    """
    from commands.letters.gathering import gather
    from commands.letters.writing import write_letter

    genesis = trusted_genesis(context, trust)
    with open_session(context, identity) as session:
        found = gather(session, application, genesis, lang)
    text = write_letter(found, lang)
    if out is None:
        click.echo(text, nl=False)
        return
    replace(out, text.encode())
    say(str(out))
