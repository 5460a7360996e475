"""`creditledger status`: why is it stuck? One screen of every node that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import click

from commands.console import say, show_facts, show_json, show_table
from commands.diagnosis import diagnose, is_quorum_answering, join
from commands.frame import Command, Exit, fail, json_option, reader_option
from commands.passwords import old_password
from commands.session import any_identity, net_of, profile_folder
from commands.values import moment
from ledger.errors import CreditLedgerError

if TYPE_CHECKING:
    from network.client import ClientPolicy, Profile, SyncClient
    from network.profile import NodeAddress

_LOG_BYTES = 65_536
_STOPPED = ("node stops", "this node does not vote, it follows as an observer")


@click.command("status", cls=Command, example="creditledger status --via D02")
@click.option("--via", metavar="MEMBER", help="Ask this member's node alone.")
@reader_option
@json_option
@click.pass_context
def command(context: click.Context, via: str | None, identity: str | None, as_json: bool) -> None:
    """Show view, heights, peers, queues and disk of each node, and what most likely is wrong.

    Exit code 4 if a quorum of the validators does not answer.
    """
    nodes = gather(context, identity, via)
    if as_json:
        show_json(nodes)
    else:
        _show(nodes)
        words = last_words(net_of(context), nodes)
        say(f"\n{diagnose(nodes, int(time() * 1000), words)}")
    is_answering = "error" not in nodes[0] if via and nodes else is_quorum_answering(nodes)
    if not is_answering:
        fail(Exit.NETWORK)


def gather(context: click.Context, identity: str | None, via: str | None) -> list[dict[str, Any]]:
    """Return the status of each node, or its member and the error of asking.

    Asked are the nodes of the profile, of this machine's network, and those that the members
    have on record.
    """
    from network.client import Profile

    net = net_of(context)
    folder = profile_folder(net, identity or any_identity(net))
    profile = with_local_nodes(Profile.load(folder, old_password(None)), net)
    began = monotonic()
    nodes = [_ask(profile, node, began) for node in profile.nodes if via in (None, node.member)]
    if via is None or not nodes:
        others = _others(profile, nodes)
        nodes += [_ask(profile, node, began) for node in others if via in (None, node.member)]
    return nodes


def _ask(profile: Profile, node: NodeAddress, began: float) -> dict[str, Any]:
    from network.client import SyncClient

    alone = replace(profile, nodes=(node,))
    try:
        with SyncClient(alone, _policy()) as client:
            status = {**client.status(), "alerts_waiting": _count_waiting(client)}
    except CreditLedgerError as error:
        return {"member": node.member, "error": str(error)}
    return {**status, "asked_ms": int((monotonic() - began) * 1000)}


def _count_waiting(client: SyncClient) -> int | None:
    """Return how many companies wait for their alerts to be looked at; None if it does not say."""
    try:
        return int(client.query("alerts.list", {"cursor": 2**62, "limit": 1})["waiting"])
    except CreditLedgerError:
        return None


def _policy() -> ClientPolicy:
    from network.client import ClientPolicy

    return ClientPolicy(connect_s=2, answer_s=3)


def _others(profile: Profile, asked: Sequence[Mapping[str, Any]]) -> list[NodeAddress]:
    """Return the nodes that the members have on record, as one of those that answer says."""
    from network.client import SyncClient

    down = {node["member"] for node in asked if "error" in node}
    up = tuple(node for node in profile.nodes if node.member not in down)
    if not up:
        return []
    try:
        with SyncClient(replace(profile, nodes=up), _policy()) as client:
            members = client.query("members.list")
    except CreditLedgerError:
        return []
    return nodes_on_record(members, {node.member for node in profile.nodes})


def nodes_on_record(
    members: Sequence[Mapping[str, Any]], known: AbstractSet[str]
) -> list[NodeAddress]:
    """Return where the nodes are, validators' and observers', that are not known already."""
    from network.profile import NodeAddress, parse_address

    return [
        NodeAddress(item["id"], *parse_address(item["node"]))
        for item in members
        if item["node"] is not None and item["id"] not in known
    ]


def with_local_nodes(profile: Any, net: Path) -> Any:
    """Return the profile with the nodes that run on this machine beside those that it names."""
    from commands.local.network_file import FILE_NAME, load_network
    from network.profile import NodeAddress
    from network.runtime.settings import parse_address

    if not (net / FILE_NAME).exists():
        return profile
    local = {
        entry.member: NodeAddress(entry.member, *parse_address(entry.address))
        for entry in load_network(net).nodes
    }
    named = tuple(local.pop(node.member, node) for node in profile.nodes)
    return replace(profile, nodes=(*named, *local.values()))


def last_words(net: Path, nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return why nodes of this machine that do not answer have stopped, as their logs say."""
    from commands.local.network_file import FILE_NAME, load_network

    if not (net / FILE_NAME).exists():
        return {}
    down = {node["member"] for node in nodes if "error" in node}
    homes = {entry.member: entry for entry in load_network(net).nodes if entry.member in down}
    said = {
        member: _last_word(Path(entry.home) / "log")
        for member, entry in homes.items()
        if not entry.is_running
    }
    return {member: text for member, text in said.items() if text}


def _last_word(log: Path) -> str:
    try:
        lines = log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") in _STOPPED:
            return f"E{entry.get('error')} {entry.get('text')}"
        if isinstance(entry, dict) and entry.get("event") == "node is up":
            return ""
    return ""


def evidence_line(member: str, count: int) -> str:
    """Return that a node keeps evidence, and how to see it."""
    pieces = "1 piece" if count == 1 else f"{count} pieces"
    command = f"creditledger evidence list --via {member}"
    return f"{member} keeps {pieces} of evidence, a member contradicted itself: {command}"


def _show(nodes: Sequence[Mapping[str, Any]]) -> None:
    rows = [_row(node) for node in nodes]
    headers = ["node", "part", "epoch", "view", "primary", "phase", "height", "certified"]
    headers += ["waits for", "peers", "queue", "pool", "clients", "disk free", "certificate"]
    show_table("", headers, rows)
    up = [node for node in nodes if "error" not in node]
    if up:
        _show_network(max(up, key=lambda item: item["height"]))
    for node in nodes:
        if "error" in node:
            say(f"{node['member']}: {node['error']}")
        elif node["refusal"]:
            say(f"{node['member']} follows and does not vote: {node['refusal']}")
        if node.get("evidence"):
            say(evidence_line(str(node["member"]), node["evidence"]))
    _show_troubles(up)


def _show_network(node: Mapping[str, Any]) -> None:
    """Show what is the same for all, as the node with the longest chain has it."""
    validators, observers = node["validators"], node["observers"]
    pending = "none"
    if node["pending_height"]:
        members = join([str(name) for name in node["pending_validators"]])
        pending = f"active from block {node['pending_height']}: {members} vote"
    timers = ", ".join(f"{name} {left} ms" for name, left in sorted(node["timers_ms"].items()))
    facts = {
        "chain": node["chain_id"].hex(),
        "chain time": f"{moment(node['time_ms'])}, clock {moment(node['clock_ms'])}",
        "clock offset": f"{node['clock_offset_ms']} ms",
        "epoch": f"{node['epoch']}: {join([str(name) for name in validators])} vote, "
        f"{node['quorum']} are a quorum",
        "observers": join([str(name) for name in observers]) or "none",
        "pending change": pending,
        f"block {node['waiting_height']}": _votes(node),
        "timers": f"{timers or 'none'} (at {node['member']})",
        "transactions": f"{node['transactions']:,} executed since the node started",
        "alerts": _alerts(node.get("alerts_waiting")),
    }
    show_facts("", facts)


def _alerts(waiting: int | None) -> str:
    """Return how many companies wait for their alerts to be looked at."""
    if waiting is None:
        return "not known"
    return f"{waiting:,} companies wait to be looked at" if waiting else "nobody waits"


def _votes(node: Mapping[str, Any]) -> str:
    """Return who has taken the step that the next block waits for, and who has not."""
    missing = [str(name) for name in node["waiting_members"]]
    if not missing:
        return f"waits for {node['waiting_for']}"
    heard = [str(name) for name in node["validators"] if name not in missing]
    return f"{node['waiting_for']} of {join(heard) or 'nobody'} is here, of {join(missing)} not"


def _show_troubles(up: Sequence[Mapping[str, Any]]) -> None:
    troubles, lags = [], []
    for node in up:
        for peer in node["peers"]:
            name, failures = str(peer["member"]), str(peer["failures"])
            if not peer["is_connected"]:
                error = peer["last_error"] or "-"
                troubles.append([str(node["member"]), name, failures, error])
            elif node["height"] - peer["height"] > 1 and peer["height"]:
                lag = str(node["height"] - peer["height"])
                trip = peer["round_trip_us"]
                shown = "-" if trip is None else f"{trip / 1000:.1f} ms"
                lags.append([str(node["member"]), name, str(peer["height"]), lag, shown])
    if troubles:
        show_table("links that are down", ["node", "peer", "failures", "last error"], troubles)
    if lags:
        headers = ["node", "peer", "its block", "blocks behind", "round trip"]
        show_table("peers that are behind, as each last said", headers, lags)


def _waits_for(node: Mapping[str, Any]) -> str:
    members = ", ".join(str(member) for member in node["waiting_members"])
    step = str(node["waiting_for"])
    return f"{step} of {members}" if members else step


def _phase(node: Mapping[str, Any]) -> str:
    if node["is_halted"]:
        return "halted"
    if node["answers_missing"]:
        return "asking"
    return "normal" if node["is_normal"] else "view change"


def _row(node: Mapping[str, Any]) -> list[str]:
    if "error" in node:
        return [str(node["member"]), *["-"] * 4, "no answer", *["-"] * 9]
    peers = node["peers"]
    connected = sum(1 for peer in peers if peer["is_connected"])
    return [
        str(node["member"]),
        str(node["part"]),
        str(node["epoch"]),
        str(node["view"]),
        str(node["primary"]) or "-",
        _phase(node),
        str(node["height"]),
        str(node["certified_height"]),
        _waits_for(node),
        f"{connected}/{len(peers)}",
        f"{node['pending']}+{node['waiting_events']}",
        f"{node['mempool']}",
        str(node["clients"]),
        f"{node['disk_free_bytes'] / 1024**3:.1f} GiB",
        moment(node["certificate_expires_ms"])[:10],
    ]
