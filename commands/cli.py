"""`creditledger`: the root of the command line, and the list of what it can do.

Every noun is a module of this package, imported when it is used. `--net DIR` (or the variable
CREDITLEDGER_NET) names the folder of a network: `genesis.bin`, `devnet.json` and a profile for
each identity, `clients/ID/client.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from commands.frame import LazyGroup

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "keys": ("commands.keys", "make and show identities: keys and certificates"),
    "genesis": ("commands.genesis", "build, show and verify a genesis document"),
    "init": ("commands.homes.init", "make the home of a node"),
    "run": ("commands.homes.run", "run a node"),
    "devnet": ("commands.local.devnet", "a local network of real processes"),
    "submit": ("commands.submit", "submit records from CSV, JSON Lines or Parquet"),
    "tx": ("commands.tx", "the fate of transactions"),
    "receipt": ("commands.audits.receipt", "fetch the receipt of a transaction"),
    "verify": ("commands.audits.verify", "verify a receipt offline"),
    "company": ("commands.declaring", "what is recorded about a company"),
    "consent": ("commands.consents.consent", "a company's authorisations"),
    "person": ("commands.consents.person", "natural persons: keys, agreements to authorisations"),
    "objection": ("commands.objection", "objections to records, their clocks and outcomes"),
    "notices": ("commands.notices", "what a member is told"),
    "match": (
        "commands.matching.match",
        "which products would lend to a company, and what keeps others",
    ),
    "product": (
        "commands.rules.product",
        "products of lenders; rules are checked before they are sent",
    ),
    "rule": ("commands.rules.rule", "rules of credit by the members' vote; what another would do"),
    "scorecard": (
        "commands.scorecards.scorecard",
        "scorecards: fitted to data, checked, explained",
    ),
    "loan": ("commands.loans.letter", "loans from application to settlement"),
    "asset": ("commands.asset", "financing assets and their pledges"),
    "exposure": ("commands.exposure", "what is owed, limits, groups, guarantee circles"),
    "institution": ("commands.institution", "what institutions report of themselves"),
    "alerts": ("commands.alerts.alerts", "early warnings"),
    "member": ("commands.members.member", "the members of the network"),
    "status": ("commands.status", "why is it stuck? one screen"),
    "evidence": ("commands.audits.evidence", "what members signed that contradicts itself"),
    "province": ("commands.province", "a synthetic province of companies, made after real data"),
    "audit": ("commands.audits.audit", "replay a chain offline and judge it"),
    "backup": ("commands.homes.backup", "copy a node's home so that it is whole"),
    "erase": ("commands.homes.erase", "delete the bodies of erased records from a home"),
    "restore": ("commands.homes.restore", "make a home of a backup"),
    "compact": ("commands.homes.compact", "merge the tables of a home's database"),
    "export": ("commands.homes.export", "the facts of a stopped node's companies, for analysis"),
    "repair": ("commands.homes.repair", "build a damaged home's database anew"),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--net",
    "net",
    metavar="DIR",
    envvar="CREDITLEDGER_NET",
    type=click.Path(path_type=Path),
    help="Folder of the network (default: .devnet, else .demo, below the current folder).",
)
@click.version_option(package_name="creditledger", prog_name="creditledger")
@click.pass_context
def cli(context: click.Context, net: Path | None) -> None:
    """A permissioned credit ledger: records of departments, loans by rule, a chain to audit.

    Amounts are CNY (1,120,000.00), dates 2020-01-10, companies their 18-character code.
    """
    context.obj = net
