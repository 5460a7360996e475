"""`creditledger status`: why is it stuck? One screen of every node that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from commands.console import say, show_facts, show_json, show_table
from commands.frame import Command, Exit, fail, json_option, reader_option
from commands.passwords import old_password
from commands.session import any_identity, net_of, only_node, profile_folder
from commands.values import moment
from ledger.chain.certificate import fault_bound, quorum
from ledger.errors import CreditLedgerError

_LOW_DISK_BYTES = 1024**3
_LAG_BLOCKS = 16


@click.command("status", cls=Command, example="creditledger status --via D02")
@click.option("--via", metavar="MEMBER", help="Ask this member's node alone.")
@reader_option
@json_option
@click.pass_context
def command(context: click.Context, via: str | None, identity: str | None, as_json: bool) -> None:
    """Show view, heights, peers, queues and disk of each node, and what most likely is wrong.

    Exit code 4 if a quorum of the nodes does not answer.
    """
    nodes = gather(context, identity, via)
    if as_json:
        show_json(nodes)
    else:
        _show(nodes)
        say(f"\n{diagnose(nodes)}")
    answering = [node for node in nodes if "error" not in node]
    if len(answering) < (1 if via else quorum(len(nodes))):
        fail(Exit.NETWORK)


def gather(context: click.Context, identity: str | None, via: str | None) -> list[dict[str, Any]]:
    """Return the status of each node, or its member and the error of asking."""
    from network.client import ClientPolicy, Profile, SyncClient

    net = net_of(context)
    folder = profile_folder(net, identity or any_identity(net))
    profile = Profile.load(folder, old_password(None))
    nodes: list[dict[str, Any]] = []
    for node in profile.nodes:
        if via is not None and node.member != via:
            continue
        alone = only_node(profile, node.member)
        try:
            with SyncClient(alone, ClientPolicy(connect_s=2, answer_s=3)) as client:
                nodes.append(dict(client.status()))
        except CreditLedgerError as error:
            nodes.append({"member": node.member, "error": str(error)})
    return nodes


def diagnose(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return the most likely reason why the network is stuck, or that it is not."""
    up = [node for node in nodes if "error" not in node]
    down = [str(node["member"]) for node in nodes if "error" in node]
    want = quorum(len(nodes))
    if len(up) < want and len(nodes) > 1:
        answer = f"{len(up)} of {len(nodes)} nodes answer, {want} are needed"
        return f"no quorum: {answer}; start {_and(down)}"
    if not up:
        return f"the node of {_and(down)} does not answer"
    for node in up:
        connected = 1 + sum(1 for peer in node["peers"] if peer["is_connected"])
        total = 1 + len(node["peers"])
        if connected < quorum(total):
            reached = f"{node['member']} reaches {connected} of {total} members"
            return f"{reached}, {quorum(total)} are needed"
        if node["disk_free_bytes"] < _LOW_DISK_BYTES:
            return f"{node['member']} has {node['disk_free_bytes'] // 1024**2} MiB of disk left"
    changing = [str(node["member"]) for node in up if not node["is_normal"]]
    if changing:
        return f"{_and(changing)} wait for a new view: the primary of the last one did not work"
    top = max(node["height"] for node in up)
    behind = [str(n["member"]) for n in up if top - n["height"] > _LAG_BLOCKS]
    if behind:
        return f"{_and(behind)} catch up with block {top}"
    stuck = [node for node in up if node["pending"] and node["waiting_members"]]
    if stuck and len(stuck) == len(up):
        node = stuck[0]
        missing = _and([str(member) for member in node["waiting_members"]])
        return f"block {node['waiting_height']} waits for the {node['waiting_for']} of {missing}"
    if down:
        left = fault_bound(len(nodes)) - len(down)
        return f"well, but {_and(down)} does not answer; {left} more may fail"
    return "well: every node answers, and none is behind"


def evidence_line(member: str, count: int) -> str:
    """Return that a node keeps evidence, and how to see it."""
    pieces = "1 piece" if count == 1 else f"{count} pieces"
    command = f"creditledger evidence list --via {member}"
    return f"{member} keeps {pieces} of evidence, a member contradicted itself: {command}"


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])


def _show(nodes: Sequence[Mapping[str, Any]]) -> None:
    rows = [_row(node) for node in nodes]
    headers = ["node", "view", "primary", "phase", "height", "certified", "waits for", "peers"]
    show_table("", [*headers, "queue", "pool", "clients", "disk free"], rows)
    up = [node for node in nodes if "error" not in node]
    if up:
        node = max(up, key=lambda item: item["height"])
        show_facts(
            "",
            {
                "chain": node["chain_id"].hex(),
                "chain time": f"{moment(node['time_ms'])}, clock {moment(node['clock_ms'])}",
                "clock offset": f"{node['clock_offset_ms']} ms",
                "transactions": f"{node['transactions']:,} executed since the node started",
            },
        )
    for node in nodes:
        if "error" in node:
            say(f"{node['member']}: {node['error']}")
        elif node.get("evidence"):  # a node of an older version says nothing of it
            say(evidence_line(str(node["member"]), node["evidence"]))
    troubles = [
        [str(node["member"]), str(peer["member"]), str(peer["failures"]), peer["last_error"] or "-"]
        for node in up
        for peer in node["peers"]
        if not peer["is_connected"]
    ]
    if troubles:
        show_table("links that are down", ["node", "peer", "failures", "last error"], troubles)


def _waits_for(node: Mapping[str, Any]) -> str:
    members = ", ".join(str(member) for member in node["waiting_members"])
    step = str(node["waiting_for"])
    return f"{step} of {members}" if members else step


def _row(node: Mapping[str, Any]) -> list[str]:
    if "error" in node:
        return [str(node["member"]), *["-"] * 2, "no answer", *["-"] * 8]
    peers = node["peers"]
    connected = sum(1 for peer in peers if peer["is_connected"])
    return [
        str(node["member"]),
        str(node["view"]),
        str(node["primary"]),
        "normal" if node["is_normal"] else "view change",
        str(node["height"]),
        str(node["certified_height"]),
        _waits_for(node),
        f"{connected}/{len(peers)}",
        f"{node['pending']}+{node['waiting_events']}",
        f"{node['mempool']}",
        str(node["clients"]),
        f"{node['disk_free_bytes'] / 1024**3:.1f} GiB",
    ]
