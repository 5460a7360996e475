"""`creditledger genesis`: from a consortium file to the document that starts a chain."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from commands.console import say, show_facts, show_json, show_table
from commands.files import read_bytes, write_new
from commands.frame import Group, json_option
from commands.values import ID, moment, now_ms, short
from ledger.errors import Code, Refused
from ledger.membership.genesis import Genesis, parse_genesis

_MEMBER_LINE = "\n[[member]]\n"


@click.group("genesis", cls=Group)
def command() -> None:
    """Build, show and verify a genesis document; its hash is the chain id."""


@command.command(
    "province", example="creditledger genesis province consortium.toml --network guangdong"
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--network", default="guangdong", show_default=True, help="Its tables are taken.")
@click.option("--name", default="Guangdong SME financing platform", show_default=True)
def province(out: Path, network: str, name: str) -> None:
    """Write OUT, the consortium file of a whole province, ready to be edited.

    Every department, institution and supervisor in the tables of the network is a member of it.
    Certificates, node keys and addresses are the members' own: `creditledger devnet up` makes them
    up for a network on one machine.
    """
    from genesis.institutions import consortium_of
    from genesis.network import load_network

    text = consortium_of(load_network(network).folder, name)
    write_new(out, text.encode())
    say(f"{text.count(_MEMBER_LINE)} members in {out}")


@command.command("build", example="creditledger genesis build consortium.toml --out genesis.bin")
@click.argument("consortium", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def build(consortium: Path, out: Path) -> None:
    """Build the genesis document of a CONSORTIUM file and print the chain id.

    The file is TOML: the network's tables, the time, and each member with its certificate and,
    where it runs a node, the node's key and address.
    """
    from genesis import builder  # with cryptography, which the other commands here do not need

    built = builder.build(consortium, now_ms())
    write_new(out, built.data)
    say(built.chain_id.hex())


@command.command("show", example="creditledger genesis show .devnet/genesis.bin")
@click.argument("document", type=click.Path(path_type=Path))
@json_option
def show(document: Path, as_json: bool) -> None:
    """Show who takes part in the network that DOCUMENT starts, and what it sets."""
    genesis = parse_genesis(read_bytes(document))
    facts = _facts(genesis)
    if as_json:
        show_json(facts)
        return
    show_facts(
        genesis.name,
        {
            "chain id": facts["chain_id"],
            "time": moment(genesis.time_ms),
            "clock offset": f"{genesis.clock_offset_ms} ms",
            "categories": str(facts["categories"]),
            "rules": ", ".join(facts["rules"]),
        },
    )
    rows = [
        [
            m["id"],
            m["role"],
            m["node"] or "-",
            "-" if m["node"] is None else "votes" if m["id"] in genesis.validators else "observes",
            ", ".join(m["capabilities"]),
            m["name"],
        ]
        for m in facts["members"]
    ]
    show_table("", ["member", "role", "node", "its part", "may", "name"], rows)


@command.command("verify", example="creditledger genesis verify genesis.bin --chain-id 5f3a…")
@click.argument("document", type=click.Path(path_type=Path))
@click.option("--chain-id", type=ID, help="The chain id it must have.")
def verify(document: Path, chain_id: bytes | None) -> None:
    """Verify that DOCUMENT is a genesis every node accepts, and print its chain id.

    Compare the chain id with what the other members see, by telephone or on paper: whoever starts
    from the same id starts from the same members, keys and rules.
    """
    found = parse_genesis(read_bytes(document)).chain_id
    if chain_id is not None and found != chain_id:
        raise Refused(
            Code.GENESIS_INVALID, f"chain id {short(found)}…, want {short(chain_id)}… ({document})"
        )
    say(found.hex())


def _facts(genesis: Genesis) -> dict[str, Any]:
    rules = []
    for source in genesis.rules:
        rule = tomllib.loads(source.decode())
        rules.append(f"{rule.get('id')}/{rule.get('version', '')}".rstrip("/"))
    return {
        "chain_id": genesis.chain_id.hex(),
        "name": genesis.name,
        "time_ms": genesis.time_ms,
        "clock_offset_ms": genesis.clock_offset_ms,
        "categories": len(genesis.categories),
        "rules": rules,
        "validators": list(genesis.validators),
        "members": [
            {
                "id": member.id,
                "name": member.name,
                "name_zh": member.name_zh,
                "role": member.role.value,
                "capabilities": sorted(member.capabilities),
                "public_key": member.public_key.hex(),
                "node": member.node.address if member.node else None,
            }
            for member in genesis.members
        ],
    }
