"""What each `at` line of a schedule does to a run, and how it is undone.

A verb begins at its moment and is undone when its time is over, or when faults end. Any member may
crash, also all at once: what is durable must carry safety. When faults end nobody crashes any more,
links are whole, clocks are right; liars go on lying.

    submit T to M size N ttl MS         a client of member M submits a transaction
    crash M [HOW POINT K]               at once, or at its K-th next sync, block, prune or send:
                                        before, after, torn (in the middle), failing (an error)
    cut LINKS | flap LINKS every MS     lose all on these links; or by turns
    lose KINDS on LINKS                 lose messages of these kinds only
    clog M                              hold all messages of a member back
    loss N | duplicate N                of 1,000 messages
    delay N upto MS                     of 1,000 messages, in addition
    base MS                             each message takes as much longer, for ever
    clock M by MS | clock M stopped     the wall clock
    stall M                             the disk does not answer
    lie M                               the disk does not sync and says that it has
    damage M                            flip a bit of the vote log, when the member is down
    flood M every MS                    a client submits without end
    change add M | remove M | rotate M  the members change: M leaves, comes, gets a new key; M may
    change shrink | again               be `primary`; to three members, or back under an old key

LINKS are `0>1` (one way), `0|1` (both), `0,1|2,3`, with `*` for all members.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from tests.simulator.clients import Clients
from tests.simulator.members import Seating
from tests.simulator.network import Loss, Network
from tests.simulator.node import SimNode
from tests.simulator.schedule import Schedule, ScheduleError, Step
from tests.simulator.scheduler import NS_PER_MS, Scheduler

LONG_TTL_MS = 500_000
FLOOD_SIZE = 400
POINTS = ("sync", "block", "prune", "send")

Undo = Callable[[], None]
Link = tuple[int, int]


class FaultyWorld(Protocol):
    """What the director acts on."""

    scheduler: Scheduler
    network: Network
    nodes: list[SimNode]
    clients: Clients
    size: int
    total: int
    seating: Seating

    def count(self, what: str) -> None:
        """Count something for the summary."""

    def submit(self, name: str, home: int, ttl_ms: int, size: int) -> None:
        """Let a client submit a new transaction."""

    def flood(self, name: str, home: int, ttl_ms: int, size: int) -> None:
        """Let a client that does not care submit a new transaction."""

    def crash_member(self, member: int, how: str) -> None:
        """Crash a member, or both twins of one."""

    def restart(self, member: int) -> None:
        """Start a member that is down."""

    def connect(self, sender: int, to: int) -> None:
        """Tell a member that its link to another is up."""


def parse_links(words: tuple[str, ...], size: int) -> frozenset[Link]:
    """Return the one-way links that words like `0>1`, `0,1|2` and `3>*` name."""
    links: set[Link] = set()
    for word in words:
        mark = "|" if "|" in word else ">"
        left, found, right = word.partition(mark)
        if not found:
            raise ScheduleError(f"cannot read link {word!r}, want 0>1 or 0|1")
        pairs = {(a, b) for a in _members(left, size) for b in _members(right, size) if a != b}
        links |= pairs
        if mark == "|":
            links |= {(b, a) for a, b in pairs}
    return frozenset(links)


def _members(text: str, size: int) -> list[int]:
    return list(range(size)) if text == "*" else [int(item) for item in text.split(",")]


class Director:
    """Plays the steps of a schedule on a run."""

    def __init__(self, world: FaultyWorld, schedule: Schedule) -> None:
        self._world = world
        self._undo: dict[int, Undo] = {}
        self._is_over = False
        self._down_ms: dict[int, int] = {}
        self._plans: dict[tuple[int, str], tuple[int, str]] = {}
        for number, step in enumerate(schedule.steps):
            if step.verb not in VERBS:
                raise ScheduleError(f"no verb {step.verb!r}, want one of {', '.join(VERBS)}")
            world.scheduler.at(step.at_ms * NS_PER_MS, self._begin, number, step)
        world.scheduler.at(schedule.calm_after_ms * NS_PER_MS, self.heal)

    def _begin(self, number: int, step: Step) -> None:
        undo = VERBS[step.verb](self, step)
        if step.verb != "submit":
            self._world.count(f"faults: {_name(step)}")
        if undo is not None:
            self._undo[number] = undo
            if step.for_ms:
                self._world.scheduler.after(step.for_ms * NS_PER_MS, self._end, number)

    def _end(self, number: int) -> None:
        undo = self._undo.pop(number, None)
        if undo is not None:
            undo()

    def heal(self) -> None:
        """End all faults; restart everybody that can start."""
        for number in sorted(self._undo):
            self._end(number)
        self._plans.clear()
        self._is_over = True
        for member in range(self._world.total):
            self._world.restart(member)

    def on_point(self, member: int, what: str) -> str:
        """Return how a member crashes at this point of its life, or nothing."""
        plan = self._plans.get((member, what))
        if plan is None:
            return ""
        left, how = plan
        if left > 1:
            self._plans[member, what] = (left - 1, how)
            return ""
        del self._plans[member, what]
        self._world.count(f"crashes: {how} a {what}")
        self._restart_later(member)
        return how

    # Clients

    def submit(self, step: Step) -> None:
        """`submit T to M size N ttl MS`."""
        name, _, home, *rest = step.words
        options = dict(zip(rest[::2], rest[1::2], strict=True))
        ttl_ms, size = int(options.get("ttl", LONG_TTL_MS)), int(options.get("size", 400))
        self._world.submit(name, int(home), ttl_ms, size)

    def flood(self, step: Step) -> Undo:
        """`flood M every MS`."""
        home, every_ns = int(step.words[0]), int(step.words[2]) * NS_PER_MS
        state = {"on": True, "count": 0}

        def again() -> None:
            if not state["on"]:
                return
            state["count"] += 1
            name = f"flood-{home}-{step.at_ms}-{state['count']}"
            self._world.flood(name, home, LONG_TTL_MS, FLOOD_SIZE)
            self._world.scheduler.after(every_ns, again)

        again()
        return partial(state.update, on=False)

    def change(self, step: Step) -> None:
        """`change add M`, and the like."""
        self._world.seating.change(step.words)

    # Crashes

    def crash(self, step: Step) -> Undo | None:
        """`crash M`, or `crash M HOW POINT K`."""
        member = int(step.words[0])
        self._down_ms[member] = step.for_ms
        if len(step.words) > 1:
            how, what, count = step.words[1:]
            if what not in POINTS:
                raise ScheduleError(f"no point {what!r}, want one of {', '.join(POINTS)}")
            self._plans[member, what] = (int(count), how)
            return None
        if any(node.is_up for node in self._world.nodes if node.index == member):
            self._world.count("crashes: at any time")
        self._world.crash_member(member, "torn")
        self._restart_later(member)
        return None

    def _restart_later(self, member: int) -> None:
        down_ms = self._down_ms.get(member, 0)
        if down_ms:
            self._world.scheduler.after(down_ms * NS_PER_MS, self._restart, member)

    def _restart(self, member: int) -> None:
        """Start a member whose time is over; when faults have ended all were started at once."""
        if not self._is_over:
            self._world.restart(member)

    # The network

    def cut(self, step: Step) -> Undo:
        """`cut LINKS`."""
        links = parse_links(step.words, self._world.total)
        self._world.network.cuts.update(links)
        return partial(self._mend, links)

    def _mend(self, links: frozenset[Link]) -> None:
        self._world.network.cuts.subtract(links)
        self._world.network.cuts += type(self._world.network.cuts)()  # forget what is at zero
        for sender, to in sorted(links):
            self._world.connect(sender, to)

    def flap(self, step: Step) -> Undo:
        """`flap LINKS every MS`."""
        *words, _, every = step.words
        links = parse_links(tuple(words), self._world.total)
        state: dict[str, bool] = {"on": True, "cut": False}

        def turn() -> None:
            if state["cut"]:
                self._mend(links)
            elif state["on"]:
                self._world.network.cuts.update(links)
            state["cut"] = state["on"] and not state["cut"]
            if state["on"]:
                self._world.scheduler.after(int(every) * NS_PER_MS, turn)

        def stop() -> None:
            state["on"] = False
            if state["cut"]:
                turn()

        turn()
        return stop

    def lose(self, step: Step) -> Undo:
        """`lose KINDS on LINKS`; KINDS `any` or names as `network.kind_of` has them."""
        kinds = frozenset() if step.words[0] == "any" else frozenset(step.words[0].split(","))
        loss = Loss(kinds, parse_links(step.words[2:], self._world.total))
        self._world.network.losses.append(loss)

        def stop() -> None:
            self._world.network.losses.remove(loss)
            for sender, to in sorted(loss.links):
                self._world.connect(sender, to)

        return stop

    def clog(self, step: Step) -> Undo:
        """`clog M`."""
        member, clogged = int(step.words[0]), self._world.network.clogged_until_ns
        clogged[member] = self._world.scheduler.now_ns + step.for_ms * NS_PER_MS
        return partial(clogged.pop, member, None)

    def loss(self, step: Step) -> Undo:
        """`loss N`."""
        return self._worsen("loss", int(step.words[0]))

    def duplicate(self, step: Step) -> Undo:
        """`duplicate N`."""
        return self._worsen("duplicate", int(step.words[0]))

    def delay(self, step: Step) -> Undo:
        """`delay N upto MS`."""
        self._world.network.conditions.slow_ns_max = int(step.words[2]) * NS_PER_MS
        return self._worsen("slow", int(step.words[0]))

    def _worsen(self, name: str, value: int) -> Undo:
        conditions = self._world.network.conditions
        setattr(conditions, name, max(getattr(conditions, name), value))
        return partial(setattr, conditions, name, 0)

    def base(self, step: Step) -> None:
        """`base MS`, for ever."""
        self._world.network.base_ns = int(step.words[0]) * NS_PER_MS

    # One member's machine

    def _of(self, step: Step) -> SimNode:
        return self._world.nodes[int(step.words[0])]

    def clock(self, step: Step) -> Undo | None:
        """`clock M by MS` or `clock M stopped`; without an end it stays (a small skew)."""
        node = self._of(step)
        before_ms = node.wall_offset_ms
        if step.words[1] == "stopped":
            node.wall_stopped_ms = node.clock().wall_ms
        else:
            node.wall_offset_ms = int(step.words[2])
        if not step.for_ms:
            return None

        def restore() -> None:
            node.wall_stopped_ms = None
            node.wall_offset_ms = before_ms

        return restore

    def stall(self, step: Step) -> None:
        """`stall M`."""
        until_ns = self._world.scheduler.now_ns + step.for_ms * NS_PER_MS
        self._of(step).stalled_until_ns = until_ns

    def lie(self, step: Step) -> Undo:
        """`lie M`."""
        home = self._of(step).home
        home.set_lying(True)
        return partial(home.set_lying, False)

    def damage(self, step: Step) -> None:
        """`damage M`; a member that is up crashes first."""
        node = self._of(step)
        node.crash()
        self._world.count(f"damaged: {node.home.damage().partition('-')[0]}")
        self._down_ms[node.index] = step.for_ms
        self._restart_later(node.index)


def _name(step: Step) -> str:
    """Return what a step is called in the summary."""
    if step.verb == "crash":
        return "crash at a point" if len(step.words) > 1 else "crash"
    if step.verb == "clock":
        return "clock stopped" if step.words[1] == "stopped" else "clock off"
    if step.verb == "cut":
        return "cut one way" if ">" in step.words[0] else "partition"
    return step.verb


VERBS: dict[str, Callable[[Director, Step], Undo | None]] = {
    "base": Director.base,
    "change": Director.change,
    "clock": Director.clock,
    "clog": Director.clog,
    "crash": Director.crash,
    "cut": Director.cut,
    "damage": Director.damage,
    "delay": Director.delay,
    "duplicate": Director.duplicate,
    "flap": Director.flap,
    "flood": Director.flood,
    "lie": Director.lie,
    "lose": Director.lose,
    "loss": Director.loss,
    "stall": Director.stall,
    "submit": Director.submit,
}
