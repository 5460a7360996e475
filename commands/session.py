"""A command's conversation with its network: which profile, which node, what came back.

`open_session` finds the profile of `--as ID` under the network's folder (NET/clients/ID) and
connects with the client SDK. `Session.send` signs a transaction, submits it, waits for its receipt
and verifies that against genesis, so that a command never reports what no certificate proves. A
result with a code other than 0 becomes `Rejected` here, and with it the command's error line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from commands.console import say, show_json, warn
from commands.files import read_bytes
from commands.passwords import old_password
from commands.values import day, moment
from ledger.errors import Code, LocalError, Rejected

if TYPE_CHECKING:
    from ledger.membership.genesis import Genesis
    from network.client import Profile, SyncClient

DEFAULT_NETS = (Path(".devnet"), Path(".demo"))
CLIENTS = "clients"
MEMBERS = "members"
GENESIS = "genesis.bin"
RECEIPT_WAIT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a certified receipt says of one transaction, and how long that took."""

    id: bytes
    code: int
    data: Any
    height: int
    time_ms: int
    seconds: float

    def to_value(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "id": self.id,
            "code": self.code,
            "result": self.data,
            "height": self.height,
            "time_ms": self.time_ms,
            "latency_ms": int(self.seconds * 1000),
        }


def find_net(given: Path | None) -> Path:
    """Return the network's folder: as given, or the first default that is there."""
    if given is not None:
        if given.is_dir():
            return given
        raise LocalError(Code.INPUT_USAGE, f"no network in {given}: make one with devnet up")
    for folder in DEFAULT_NETS:
        if (folder / CLIENTS).is_dir():
            return folder
    raise LocalError(
        Code.INPUT_USAGE,
        "no network here: name its folder with --net DIR, or make one with devnet up",
    )


def net_of(context: click.Context) -> Path:
    """Return the network's folder of a running command."""
    return find_net(context.find_root().obj)


def trusted_genesis(context: click.Context, trust: Path | None) -> Genesis:
    """Return the genesis document to trust: as named, or the network folder's.

    Raises `LocalError` (8001, 8004), `Refused` (7001, 7002).
    """
    from ledger.membership.genesis import parse_genesis

    if trust is None:
        try:
            trust = net_of(context) / GENESIS
        except LocalError:
            raise LocalError(
                Code.INPUT_USAGE, "no genesis document to trust: name it with --trust FILE"
            ) from None
    return parse_genesis(read_bytes(trust))


def profile_folder(net: Path, identity: str) -> Path:
    """Return the folder of an identity's profile; raise `LocalError` (8004) naming the others."""
    folder = net / CLIENTS / identity
    if folder.is_dir():
        return folder
    known = sorted(path.name for path in (net / CLIENTS).glob("*") if path.is_dir())
    raise LocalError(
        Code.INPUT_USAGE,
        f"no profile {identity} in {net / CLIENTS}, want one of {', '.join(known) or 'none yet'}",
    )


def describe_terms(terms: Mapping[str, Any]) -> str:
    """Return what a reader may do with what it sees under a consent, in one line."""
    kept = "to look at, not to keep"
    if terms["keep_until_day"] is not None:
        kept = f"may be kept until {day(terms['keep_until_day'])}"
    onward = "may be passed on" if terms["is_onward_allowed"] else "not to be passed on"
    border = "" if terms["is_cross_border"] else ", nor to leave the country"
    if terms["is_onward_allowed"] and border:
        border = ", not to leave the country"
    return f"under consent {terms['consent']}: {kept}; {onward}{border}"


class Session:
    """One identity's open connection; every method raises the numbered errors of the SDK."""

    def __init__(self, client: SyncClient) -> None:
        self.client = client
        self._height: int | None = None

    def query(self, name: str, **params: Any) -> Any:
        """Return the answer of a named query."""
        return self.client.query(name, params)

    def look(self, company: str, categories: Sequence[str], purpose: str) -> str:
        """Log a look at authorised data of a company; return its id for the queries that follow.

        Raises `Rejected` with the code for which the look was refused; the refusal is logged too.
        """
        body = {"company": company, "categories": tuple(categories), "purpose": purpose}
        outcome = self.send("access.open", body)
        check_outcome(outcome)
        if outcome.data["code"] != Code.OK:
            raise Rejected(Code(outcome.data["code"]), outcome.data["text"])
        for terms in outcome.data["terms"]:
            warn(describe_terms(terms))
        return str(outcome.data["access"])

    def time_ms(self) -> int:
        """Return the chain's time: that of its last block, in ms since 1970."""
        return self.client.head().time_ms

    def wait_for_block(self) -> None:
        """Return when a block has come after the one that was last then, or after a while."""
        from network.methods import WatchStream

        height = self._height if self._height is not None else self.client.head().height
        _, self._height = self.client.watch(WatchStream.BLOCKS, height)

    def send(
        self, kind: str, body: Mapping[str, Any], attachments: Sequence[bytes] = ()
    ) -> Outcome:
        """Sign, submit and wait for the certified result, whatever its code."""
        started = monotonic()
        receipt = self.client.submit_kind(kind, dict(body), tuple(attachments))
        code, data = receipt.result
        return Outcome(
            receipt.transaction_id,
            code,
            data,
            receipt.header.height,
            receipt.header.time_ms,
            monotonic() - started,
        )


@contextmanager
def open_session(
    context: click.Context, identity: str, via: str | None = None, answer_s: float | None = None
) -> Iterator[Session]:
    """Connect as `identity` for the length of the block, to `via`'s node alone if it is given.

    `answer_s` is how long one node's answer is waited for, None for what is usual.
    """
    from network.client import ClientPolicy, Profile, SyncClient

    profile = Profile.load(profile_folder(net_of(context), identity), old_password(None))
    if via is not None:
        profile = only_node(profile, via)
    policy = ClientPolicy() if answer_s is None else ClientPolicy(answer_s=answer_s)
    with SyncClient(profile, policy) as client:
        yield Session(client)


def only_node(profile: Profile, member: str) -> Profile:
    """Return the profile with the node of `member` alone; raise `LocalError` (8004)."""
    nodes = tuple(node for node in profile.nodes if node.member == member)
    if not nodes:
        known = ", ".join(node.member for node in profile.nodes)
        raise LocalError(Code.INPUT_USAGE, f"no node of {member} in the profile, want {known}")
    return replace(profile, nodes=nodes)


def any_identity(net: Path) -> str:
    """Return some identity of the network, for questions that anyone may ask."""
    known = sorted(path.name for path in (net / CLIENTS).glob("*") if path.is_dir())
    if not known:
        raise LocalError(Code.INPUT_USAGE, f"no profile in {net / CLIENTS}")
    return known[0]


def check_outcome(outcome: Outcome) -> None:
    """Raise `Rejected` with the result's code and sentence unless the transaction had effect."""
    if outcome.code == Code.OK:
        return
    text = outcome.data.get("error", "") if isinstance(outcome.data, Mapping) else ""
    try:
        code = Code(outcome.code)
    except ValueError:
        code, text = Code.INTERNAL, f"result {outcome.code}: {text}"
    raise Rejected(code, f"{text or code.name} [transaction {outcome.id.hex()}]")


def report(outcome: Outcome, as_json: bool, sentence: str) -> None:
    """Print what a transaction did, or raise its rejection."""
    if as_json:
        show_json(outcome.to_value())
        check_outcome(outcome)
        return
    check_outcome(outcome)
    say(sentence)
    say(place_of(outcome))


def place_of(outcome: Outcome) -> str:
    """Return two lines: the transaction, and the block that certifies it."""
    return (
        f"  transaction {outcome.id.hex()}\n"
        f"  in block {outcome.height} of {moment(outcome.time_ms)}, "
        f"certified after {outcome.seconds * 1000:.0f} ms"
    )


def transact(context: click.Context, identity: str, kind: str, body: Mapping[str, Any]) -> Outcome:
    """Send one transaction as `identity` and return its certified result."""
    with open_session(context, identity) as session:
        return session.send(kind, body)


def ask(context: click.Context, identity: str | None, name: str, **params: Any) -> Any:
    """Return the answer of one query, asked as `identity` or, when None, as anybody."""
    with open_session(context, identity or any_identity(net_of(context))) as session:
        return session.query(name, **params)
