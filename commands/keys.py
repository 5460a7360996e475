"""`creditledger keys`: identities of members, nodes, clients and companies.

A member's key signs its transactions and issues the certificates of its node and its clients; a
node's key signs votes. A company has a key of its own, which the registrar binds to its code.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from commands.console import say, show_facts, show_json
from commands.files import read_bytes
from commands.frame import Group, json_option
from commands.members.join import renew_certificate, rotate
from commands.passwords import new_password, old_password
from commands.session import MEMBERS, net_of, profile_folder
from commands.values import COMPANY, moment
from ledger.keys import SigningKey

_PATH = click.Path(path_type=Path)


@click.group("keys", cls=Group)
def command() -> None:
    """Make and show identities: keys (encrypted PEM) and certificates."""


@command.group("new", cls=Group)
def new() -> None:
    """Make a new key; the public key is printed, the private one stays in its file."""


def _password_options(function: click.decorators.FC) -> click.decorators.FC:
    function = click.option(
        "--no-password", "is_plain", is_flag=True, help="Leave the key file unencrypted."
    )(function)
    return click.option(
        "--password-file", type=_PATH, help="File with the password (or CREDITLEDGER_KEY_PASSWORD)."
    )(function)


@new.command("member", example="creditledger keys new member D02 --out keys/")
@click.argument("member")
@click.option("--out", type=_PATH, required=True, help="Folder for member.key and member.crt.")
@_password_options
def new_member(member: str, out: Path, password_file: Path | None, is_plain: bool) -> None:
    """Make the key of MEMBER and the certificate of it that stands in genesis."""
    from network import certificates

    seed = certificates.new_seed()
    certificate = certificates.make_member_certificate(seed, member, datetime.now(UTC))
    certificates.save_key(out / "member.key", seed, new_password(password_file, is_plain))
    certificates.save_certificate(out / "member.crt", certificate)
    say(SigningKey(seed).public_key.hex())


@new.command("node", example="creditledger keys new node D02 --member keys/ --out keys/")
@click.argument("member")
@click.option("--member", "issuer", type=_PATH, required=True, help="Folder of the member's key.")
@click.option("--out", type=_PATH, required=True, help="Folder for node.key, tls.key, tls.crt.")
@_password_options
def new_node(
    member: str, issuer: Path, out: Path, password_file: Path | None, is_plain: bool
) -> None:
    """Make the vote key of MEMBER's node, and its TLS key with a certificate by the member."""
    from commands.profiles import issue_tls
    from network import certificates

    password = new_password(password_file, is_plain)
    seed = certificates.new_seed()
    certificates.save_key(out / "node.key", seed, password)
    issue_tls(out, issuer, certificates.NodeIdentity(member), password)
    say(SigningKey(seed).public_key.hex())


@new.command(
    "client",
    example="creditledger keys new client D02 desk --member keys/ --genesis genesis.bin "
    "--out net/clients/D02",
)
@click.argument("member")
@click.argument("name")
@click.option("--member", "issuer", type=_PATH, required=True, help="Folder of the member's key.")
@click.option("--genesis", type=_PATH, required=True, help="The network's genesis document.")
@click.option("--out", type=_PATH, required=True, help="Folder of the new profile.")
@_password_options
def new_client(
    member: str,
    name: str,
    issuer: Path,
    genesis: Path,
    out: Path,
    password_file: Path | None,
    is_plain: bool,
) -> None:
    """Make a profile for MEMBER's client program NAME: its TLS key and certificate, the nodes.

    The nodes are those of the genesis document, the member's own first. `--as MEMBER` finds the
    profile when it lies in NET/clients/MEMBER.
    """
    from commands.profiles import make_profile, nodes_of

    nodes = nodes_of(genesis, member)
    password = new_password(password_file, is_plain)
    make_profile(out, member, name, issuer, genesis, nodes, password)
    say(str(out / "client.toml"))


@new.command("company", example="creditledger keys new company 91441300MA4DEMO01X --via D01")
@click.argument("company", type=COMPANY)
@click.option("--via", required=True, help="The member at whose counter it is made.")
@click.option(
    "--member", "issuer", type=_PATH, help="Folder of its key (default: NET/members/VIA)."
)
@_password_options
@click.pass_context
def new_company(
    context: click.Context,
    company: str,
    via: str,
    issuer: Path | None,
    password_file: Path | None,
    is_plain: bool,
) -> None:
    """Make the key and the profile of COMPANY; the registrar then binds the key to its code.

    The profile lies in NET/clients/COMPANY, and connects to the nodes that the member's does.
    """
    from commands.profiles import make_company_profile
    from network.profile import Profile

    net = net_of(context)
    profile = Profile.load(profile_folder(net, via), old_password(None))
    nodes = [(node.member, f"{node.host}:{node.port}") for node in profile.nodes]
    password = new_password(password_file, is_plain)
    member = issuer or net / MEMBERS / via
    key = make_company_profile(net, company, via, member, nodes, password)
    say(key.hex())


@new.command("person", example="creditledger keys new person --out li.key")
@click.option("--out", type=_PATH, required=True, help="The key file.")
@_password_options
def new_person(out: Path, password_file: Path | None, is_plain: bool) -> None:
    """Make the key of a natural person, who is asked for an agreement to an authorisation.

    Printed are the person's id, which tells nobody who it is, and the key that a counter binds to
    it with `person bind`.
    """
    from ledger.credit.persons import name_person
    from network import certificates

    seed = certificates.new_seed()
    certificates.save_key(out, seed, new_password(password_file, is_plain))
    public_key = SigningKey(seed).public_key
    say(f"{name_person(public_key)} {public_key.hex()}")


command.add_command(renew_certificate)
command.add_command(rotate)


@command.command("show", example="creditledger keys show keys/member.crt")
@click.argument("file", type=_PATH)
@click.option(
    "--password-file", type=_PATH, help="File with the password (or CREDITLEDGER_KEY_PASSWORD)."
)
@json_option
def show(file: Path, password_file: Path | None, as_json: bool) -> None:
    """Show the public key of a key or certificate FILE, and until when a certificate is valid."""
    from network import certificates

    if b"CERTIFICATE" in read_bytes(file):
        der = certificates.load_certificate(file)
        until = certificates.expires_at(der)
        facts = {
            "certificate": str(file),
            "public_key": certificates.public_key_of(der).hex(),
            "valid_until": moment(int(until.timestamp()) * 1000),
        }
    else:
        seed = certificates.load_key(file, old_password(password_file))
        facts = {"key": str(file), "public_key": SigningKey(seed).public_key.hex()}
    if as_json:
        show_json(facts)
    else:
        show_facts("", {name.replace("_", " "): text for name, text in facts.items()})
