"""`creditledger member join` and `rejoin`, `creditledger keys renew-certificate` and `rotate`.

What needs the members' approval is sent as a proposal by the member itself (`--as`), or shown for
another member to propose. See docs/OPERATING.md for the whole way of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from commands.console import say, show_facts, show_json
from commands.frame import Command, Group, json_option
from commands.passwords import new_password, old_password
from commands.session import open_session, report, trusted_genesis
from commands.values import moment
from ledger.errors import Code, LocalError

_PATH = click.Path(path_type=Path)
_DAYS_OPEN = 7
_MS_A_DAY = 86_400_000

_home_option = click.option("--home", type=_PATH, required=True, help="The node's home.")
_password_option = click.option("--password-file", type=_PATH, help="File with the keys' password.")
_as_option = click.option("--as", "identity", required=True, metavar="ID", help="Who proposes it.")


@click.command(
    "join",
    cls=Command,
    example="creditledger member join --genesis genesis.bin --id D05 --member keys/ "
    "--home /var/lib/creditledger --listen 0.0.0.0:7001 --address 10.20.0.9:7001",
)
@click.option("--genesis", "genesis_file", type=_PATH, required=True, help="The genesis document.")
@click.option("--id", "member", required=True, help="Whose node it is.")
@click.option("--member", "member_folder", type=_PATH, required=True, help="Its member.key folder.")
@click.option("--home", type=_PATH, required=True, help="Folder to make; it must be new or empty.")
@click.option("--listen", required=True, help="host:port for peers and clients.")
@click.option("--address", help="host:port at which the others find it (default: as --listen).")
@click.option("--metrics", help="host:port for Prometheus and health (default: none).")
@click.option("--peer", "peers", multiple=True, metavar="ID=HOST:PORT", help="Where a node is now.")
@_password_option
@click.option("--no-password", "is_plain", is_flag=True, help="Leave the key files unencrypted.")
@json_option
def join(
    genesis_file: Path,
    member: str,
    member_folder: Path,
    home: Path,
    listen: str,
    address: str | None,
    metrics: str | None,
    peers: Sequence[str],
    password_file: Path | None,
    is_plain: bool,
    as_json: bool,
) -> None:
    """Make the home of a node that joins a network that runs, and show what is to be proposed.

    Once the members have approved the observer the node follows the chain; when it has caught up,
    `member ready` and a proposal `promote` make it a validator. --peer helps where the addresses
    in genesis are not right any more.
    """
    from commands.homes.node_home import join_home

    key = join_home(
        home,
        member=member,
        genesis_file=genesis_file,
        member_folder=member_folder,
        listen=listen,
        metrics=metrics,
        peers=_peers(peers),
        password=new_password(password_file, is_plain),
    )
    facts = {
        "home": str(home),
        "kind": "add_observer",
        "member": member,
        "public_key": key.public_key.hex(),
        "proof": key.proof.hex(),
        "address": address or listen,
    }
    if as_json:
        show_json(facts)
        return
    show_facts("", {name.replace("_", " "): text for name, text in facts.items()})
    say("\nNext: a member proposes it, a quorum approves it, and the node follows the chain:")
    say(
        f"  creditledger member propose add-observer {member} --address {address or listen} "
        f"--public-key {key.public_key.hex()} --proof {key.proof.hex()} --as ID"
    )
    say(f"  creditledger run --home {home}")
    say(
        f"When it has caught up: creditledger member ready --as {member}, and a proposal `promote`."
    )


@click.command(
    "rejoin", cls=Command, example="creditledger member rejoin --home /var/lib/cl --as D02"
)
@_home_option
@click.option("--member", "member_folder", type=_PATH, help="Its member.key folder (see below).")
@_as_option
@_password_option
@json_option
@click.pass_context
def rejoin(
    context: click.Context,
    home: Path,
    member_folder: Path | None,
    identity: str,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Let a node that must not vote under its key re-enter: a new key, and the proposal for it.

    For a home that was restored, wiped or rolled back (E6201 to E6205). The node goes on as an
    observer and votes under the new key when enough members have approved it. A home out of a
    backup has no TLS certificate: --member issues one. Of a home that is lost as a whole,
    config.toml and genesis.bin are enough: the chain comes from the other members.
    """
    from commands.homes.node_home import add_certificate, add_database, has_certificate
    from network.certificates import LEAF_DAYS
    from network.runtime.settings import load_settings

    if not has_certificate(home):
        if member_folder is None:
            raise LocalError(
                Code.INPUT_USAGE, f"{home} holds no TLS certificate: name the member's key folder"
            )
        member, password = load_settings(home).member, old_password(password_file)
        add_certificate(home, member, member_folder, LEAF_DAYS, password)
    add_database(home)
    _rotate_node(context, home, identity, password_file, as_json, "re-entry under a new key")


@click.command(
    "renew-certificate",
    cls=Command,
    example="creditledger keys renew-certificate --home /var/lib/cl --member keys/",
)
@_home_option
@click.option("--member", "member_folder", type=_PATH, required=True, help="Its member.key folder.")
@click.option("--days", type=click.IntRange(1, 825), default=397, show_default=True)
@_password_option
@json_option
def renew_certificate(
    home: Path, member_folder: Path, days: int, password_file: Path | None, as_json: bool
) -> None:
    """Issue the node a new TLS certificate; one that runs takes it up by itself, links stay."""
    from commands.homes.node_home import add_certificate
    from network.runtime.settings import load_settings

    member = load_settings(home).member
    path, until = add_certificate(home, member, member_folder, days, old_password(password_file))
    facts = {"certificate": str(path), "valid_until": moment(int(until.timestamp()) * 1000)}
    if as_json:
        show_json(facts)
    else:
        show_facts("", {name.replace("_", " "): text for name, text in facts.items()})


@click.group("rotate", cls=Group)
def rotate() -> None:
    """Change a key for a new one, by the members' approval."""


@rotate.command("node", example="creditledger keys rotate node --home /var/lib/cl --as D02")
@_home_option
@_as_option
@_password_option
@json_option
@click.pass_context
def rotate_node(
    context: click.Context, home: Path, identity: str, password_file: Path | None, as_json: bool
) -> None:
    """Make the node's next key in its home, and propose it; it votes when it is in force."""
    _rotate_node(context, home, identity, password_file, as_json, "rotation of the node key")


def _rotate_node(
    context: click.Context,
    home: Path,
    identity: str,
    password_file: Path | None,
    as_json: bool,
    note: str,
) -> None:
    from commands.homes.node_home import add_node_key
    from network.runtime.settings import load_settings

    member = load_settings(home).member
    chain_id = trusted_genesis(context, None).chain_id
    with open_session(context, identity) as session:
        time_ms = session.time_ms()
        key = add_node_key(home, member, chain_id, old_password(password_file))
        change = {"kind": "rotate_node_key", **key.to_value()}
        outcome = session.send("member.propose", _proposal(change, time_ms, note))
    shown = f"{key.public_key.hex()[:16]}… proposed for the node of {member}"
    report(outcome, as_json, shown)


@rotate.command(
    "member",
    example="creditledger keys rotate member D02 --home /var/lib/cl --out keys-2/ --as D02",
)
@click.argument("member")
@click.option("--home", type=_PATH, help="Home of its node, which gets a certificate by the key.")
@click.option("--out", type=_PATH, required=True, help="Folder for the new member.key, member.crt.")
@_as_option
@_password_option
@json_option
@click.pass_context
def rotate_member(
    context: click.Context,
    member: str,
    home: Path | None,
    out: Path,
    identity: str,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Make MEMBER's next key, a TLS certificate by it for its node, and propose it.

    The node shows the new certificate when the key is in force; give the clients new ones then
    (keys new client). The old key stays where it is, and is worth nothing afterwards.
    """
    from commands.homes.node_home import add_certificate, make_member_key
    from network.certificates import LEAF_DAYS

    password = old_password(password_file)
    chain_id = trusted_genesis(context, None).chain_id
    with open_session(context, identity) as session:
        time_ms = session.time_ms()
        key, certificate = make_member_key(out, member, chain_id, password)
        if home is not None:
            add_certificate(home, member, out, LEAF_DAYS, password)
        change = {"kind": "rotate_key", **key.to_value(), "certificate": certificate}
        note = "rotation of the member's key"
        outcome = session.send("member.propose", _proposal(change, time_ms, note))
    report(outcome, as_json, f"{key.public_key.hex()[:16]}… proposed for {member}")


def _proposal(change: dict[str, str | bytes], time_ms: int, note: str) -> dict[str, object]:
    expires_ms = time_ms + _DAYS_OPEN * _MS_A_DAY
    return {"change": change, "expires_ms": expires_ms, "note": note}


def _peers(items: Sequence[str]) -> dict[str, str]:
    peers = {}
    for item in items:
        member, equals, address = item.partition("=")
        if not equals or not member or not address:
            raise LocalError(Code.INPUT_USAGE, f"--peer {item}: want ID=HOST:PORT")
        peers[member] = address
    return peers
