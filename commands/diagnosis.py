"""Why is it stuck? The most likely reason, in one sentence, from what every node says of itself.

The reasons are asked for in order: what stops the network for good, what keeps a quorum from
agreeing, what delays it, what only a part of it suffers from. The first that holds is told. A node
that does not answer may have said why in its log, if it lies on this machine (`words`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, TypeAlias

from ledger.chain.certificate import fault_bound, quorum

LOW_DISK_BYTES = 1024**3
LAG_BLOCKS = 16
SKEW_MS = 2_000  # rule 15: a batch that is further ahead of the own clock is held
CERTIFICATE_MS = 30 * 86_400_000

Node: TypeAlias = Mapping[str, Any]
Nodes: TypeAlias = Sequence[Node]


def diagnose(nodes: Nodes, now_ms: int, words: Mapping[str, str] | None = None) -> str:
    """Return the most likely reason why the network is stuck, or that it is not.

    `now_ms` is real time, for certificates; `words` are the last ones of nodes that are down.
    """
    up = [node for node in nodes if "error" not in node]
    if not up:
        down = [str(node["member"]) for node in nodes]
        verb = "do" if len(down) > 1 else "does"
        last = _last_words(down, words or {})
        return f"the node{'s' * (len(down) > 1)} of {join(down)} {verb} not answer{last}"
    for reason in _REASONS:
        found = reason(up, nodes, words or {})
        if found is not None:
            return found
    return _certificates(up, now_ms) or _well(up, nodes, words or {})


def validators_of(up: Nodes) -> tuple[str, ...]:
    """Return who votes, as the node with the longest chain says."""
    return tuple(str(name) for name in max(up, key=lambda node: node["height"])["validators"])


def is_quorum_answering(nodes: Nodes) -> bool:
    """Tell whether a quorum of the validators has answered."""
    up = [node for node in nodes if "error" not in node]
    if not up:
        return False
    validators = validators_of(up)
    answering = sum(1 for node in up if node["member"] in validators)
    return answering >= quorum(len(validators))


def join(names: Sequence[str]) -> str:
    """Return names as in a sentence."""
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])


def _names(nodes: Nodes) -> str:
    return join([str(node["member"]) for node in nodes])


def _last_words(down: Sequence[str], words: Mapping[str, str]) -> str:
    said = [f"{member} said: {words[member]}" for member in down if member in words]
    return f" ({'; '.join(said)})" if said else ""


def _voting(up: Nodes) -> Nodes:
    """Return the nodes of validators."""
    validators = validators_of(up)
    return [node for node in up if node["member"] in validators]


def _down(up: Nodes, nodes: Nodes) -> list[str]:
    """Return the validators whose nodes did not answer, of those that were asked."""
    asked = {str(node["member"]) for node in nodes if "error" in node}
    return [member for member in validators_of(up) if member in asked]


def _halted(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    halted = [node for node in up if node["is_halted"]]
    if not halted:
        return None
    return f"{_names(halted)} halted: the chains differ, and its log says where first"


def _no_quorum(up: Nodes, nodes: Nodes, words: Mapping[str, str]) -> str | None:
    validators, down = validators_of(up), _down(up, nodes)
    want, size = quorum(len(validators)), len(validators)
    if len(nodes) > 1 and size - len(down) < want:
        answer = f"{size - len(down)} of {size} validators answer, {want} are needed"
        return f"no quorum: {answer}; start {join(down)}{_last_words(down, words)}"
    refused = [node for node in _voting(up) if node["refusal"]]
    if len(nodes) > 1 and size - len(down) - len(refused) < want:
        reason = f"{refused[0]['refusal']}" if refused else ""
        return (
            f"no quorum: {_names(refused)} must not vote ({reason}), "
            f"{size - len(down) - len(refused)} of {size} are left, {want} are needed"
        )
    return None


def _unreachable(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    for node in _voting(up):
        others = [peer for peer in node["peers"] if peer["is_validator"]]
        missing = [str(peer["member"]) for peer in others if not peer["is_connected"]]
        size = len(others) + 1
        if size - len(missing) < quorum(size):
            return (
                f"{node['member']} reaches {size - len(missing)} of {size} validators, "
                f"{quorum(size)} are needed: no link to {join(missing)}"
            )
    return None


def _disk(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    for node in up:
        if node["disk_free_bytes"] < LOW_DISK_BYTES:
            return f"{node['member']} has {node['disk_free_bytes'] // 1024**2} MiB of disk left"
    return None


def _clock(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    """The nodes were asked one after the other, so the bound is not a fine one."""
    middle = median(node["clock_ms"] - node.get("asked_ms", 0) for node in up)
    for node in up:
        off_ms = int(node["clock_ms"] - node.get("asked_ms", 0) - middle)
        if abs(off_ms) > SKEW_MS and len(up) > 2:
            side = "ahead of" if off_ms > 0 else "behind"
            return f"the clock of {node['member']} is {abs(off_ms) / 1000:.0f} s {side} the others"
    return None


def _view_change(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    changing = [node for node in _voting(up) if not node["is_normal"]]
    if not changing:
        return None
    node = changing[0]
    missing = join([str(member) for member in node["waiting_members"]])
    cause = f" ({node['view_change_cause']})" if node["view_change_cause"] else ""
    if node["waiting_for"] == "view-change":
        wait = f"the VIEW-CHANGE of {missing} is missing"
    else:
        wait = f"{missing} has not opened it"
    return f"{_names(changing)} changed to view {node['view']}{cause}: {wait}"


def _behind(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    top = max(node["height"] for node in up)
    behind = [node for node in up if top - node["height"] > LAG_BLOCKS]
    if not behind:
        return None
    heights = join([f"{node['member']} at block {node['height']}" for node in behind])
    return f"behind and fetching: {heights}, the others are at block {top}"


def _bodies(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    lacking = [node for node in _voting(up) if node["waiting_for"] == "bodies"]
    spare = len(_voting(up)) - quorum(len(validators_of(up)))
    if not lacking or len(lacking) <= spare:
        return None
    height, primary = lacking[0]["waiting_height"], lacking[0]["primary"]
    return f"block {height}: {_names(lacking)} wait for transactions that {primary} has proposed"


def _stuck(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    voting = _voting(up)
    stuck = [node for node in voting if node["pending"] and node["waiting_members"]]
    if not stuck or len(stuck) < len(voting):
        return None
    node = stuck[0]
    missing = join([str(member) for member in node["waiting_members"]])
    return f"block {node['waiting_height']} waits for the {node['waiting_for']} of {missing}"


def _asking(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    asking = [node for node in _voting(up) if node["answers_missing"]]
    if not asking:
        return None
    count = asking[0]["answers_missing"]
    return (
        f"{_names(asking)} does not vote yet: {count} more members must say what they hold of its "
        "votes"
    )


def _refused(up: Nodes, _nodes: Nodes, _words: Mapping[str, str]) -> str | None:
    refused = [node for node in up if node["refusal"]]
    if not refused:
        return None
    node = refused[0]
    command = f"creditledger member rejoin --home … --as {node['member']}"
    return f"{_names(refused)} follows and does not vote: {node['refusal']} ({command})"


def _certificates(up: Nodes, now_ms: int) -> str | None:
    for node in up:
        left_ms = node["certificate_expires_ms"] - now_ms
        if left_ms < CERTIFICATE_MS:
            days = left_ms // 86_400_000
            ends = f"ends in {days} days" if left_ms > 0 else "has ended"
            return (
                f"the certificate of {node['member']} {ends}: creditledger keys renew-certificate"
            )
    return None


def _well(up: Nodes, nodes: Nodes, words: Mapping[str, str]) -> str:
    down = _down(up, nodes)
    if down:
        left = fault_bound(len(validators_of(up))) - len(down)
        last = _last_words(down, words)
        return f"well, but {join(down)} does not answer{last}; {left} more may fail"
    others = [str(node["member"]) for node in nodes if "error" in node]
    if others:
        return f"well; {join(others)}, which does not vote, does not answer"
    if not any(node["pending"] for node in up):
        return "well: every node answers, none is behind, and nothing is asked of them"
    return "well: every node answers, and none is behind"


_REASONS: tuple[Callable[[Nodes, Nodes, Mapping[str, str]], str | None], ...] = (
    _halted,
    _no_quorum,
    _unreachable,
    _disk,
    _clock,
    _view_change,
    _bodies,
    _behind,
    _stuck,
    _asking,
    _refused,
)
