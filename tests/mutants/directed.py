"""What a seed of the hunt is made of: mixes by turns, each leading to one kind of fault.

`any` is what the simulator makes of a seed by itself. The others lead where one kind of fault is
likely: a seed is cheap there, and a mutant is seen sooner. `_FIRST` says for whom which mix is
tried before the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from tests.simulator.byzantine import BEHAVIOURS
from tests.simulator.draw import LATE_TTL_MS, Options, draw_schedule
from tests.simulator.mixes import options_of
from tests.simulator.schedule import LiarLine, Schedule, Step

SIZES = (4, 5, 6, 7)
ALONE_TURNS = 8
BUSY = 150  # so many transactions that some are in flight at any moment
LATE_WAIT_MS = 2_000  # by which `LATE_TTL_MS` is above MAX_TTL
LATE_EVERY = 7  # of so many seeds, one in which nearly everything expires late
BACKUP_TURNS = (2, 4, 5)  # in which the second primary tells the lie, and the first one is down
CRASH_AT_MS, CRASH_FOR_MS = 700, 2500
RESTART_TURN = 3
BUSY_TURNS = (*BACKUP_TURNS, RESTART_TURN)
PART_TURN = 1
LOCK_MS, LOCK_TURNS = 1_500, 4
_LIES = tuple(sorted(BEHAVIOURS))


def _any(seed: int) -> Options:
    return replace(options_of(seed), service_ms=2_000)


_VIEW_FAULTS = (
    {"loss", "partition", "crash", "reorder"},
    {"loss", "partition", "crash", "reorder", "byzantine"},
    {"outage", "crash", "loss"},
    {"cut", "flap", "clog", "crash", "delay"},
    {"slow", "crash", "clock"},
    {"delay", "partition", "crash", "byzantine"},
)


def _views(seed: int) -> Options:
    """Many views in a row, for one reason or another."""
    faults = _VIEW_FAULTS[seed // 2 % len(_VIEW_FAULTS)]
    if seed % 3 == PART_TURN:
        faults = {"reorder"}  # the rest goes on while one is parted from it
    is_late = seed % LATE_EVERY == LATE_EVERY - 1
    return Options(
        nodes=SIZES[seed // len(_VIEW_FAULTS) % len(SIZES)],
        faults=frozenset(faults | ({"clock"} if is_late else set())),
        transactions=BUSY if seed % 2 == 0 and "slow" not in faults else 40,
        is_tight=seed % 4 < 2 and "slow" not in faults,
        chance=0.9,
    )


def _liars(seed: int) -> Options:
    """Liars, and little else; `hunting_schedule` says who tells which lie."""
    turn = seed // len(_LIES)
    more = {"crash", "loss"} if turn > max(BACKUP_TURNS) else set()
    if turn in BACKUP_TURNS:
        more = {"delay", "loss", "partition"}  # so that something is prepared and not committed
    return Options(
        nodes=SIZES[(seed + turn) % len(SIZES)],
        faults=frozenset({"byzantine", "reorder"} | more),
        transactions=BUSY if turn in BUSY_TURNS else 60 if turn % 2 else 24,
        clump_ms=600 if turn % 4 and turn not in BACKUP_TURNS else 1,
        is_tight=seed % 3 == 1 or turn == RESTART_TURN,
        chance=1.0,
    )


def _members(seed: int) -> Options:
    """Members that change, in calm and among crashes and lost messages."""
    faults = ({"members"}, {"members", "crash", "loss"}, {"members", "delay", "partition"})
    return Options(
        nodes=SIZES[seed % len(SIZES)], faults=frozenset(faults[seed // 4 % 3]), chance=1.0
    )


def _calm(seed: int) -> Options:
    """Nothing goes wrong until the acts."""
    return Options(
        nodes=SIZES[seed % len(SIZES)],
        transactions=60,
        clump_ms=600 if seed % 2 else 1,
        is_silent_at_end=seed % 3 == 0,
        is_tight=seed % 5 == 1,
        service_ms=2_000,
    )


MIXES: dict[str, Callable[[int], Options]] = {
    "any": _any,
    "liars": _liars,
    "views": _views,
    "members": _members,
    "calm": _calm,
}
_TURNS = ("any", "liars", "views", "liars", "members", "liars", "calm", "liars")

# Which lies show a mutant for what it is.
_BY_LIE: dict[str, tuple[str, ...]] = {
    "primarys-own-prepare-counted": ("prepare as primary",),
    "votes-of-other-digests-counted": ("tell both", "equivocate", "vote twice"),
    "second-digest-accepted": ("tell both",),
    "anyone-may-propose": ("usurp",),
    "digest-not-compared-with-batch": ("propose unfit", "propose invalid"),
    "second-checkpoint-counted": ("wrong checkpoint",),
    "halts-on-a-lying-checkpoint": ("wrong checkpoint",),
    "later-votes-unbounded": ("flood", "far view"),
    "new-view-of-anyone": ("usurp view",),
    "opens-with-changes-for-other-views": ("open with others",),
    "too-many-bytes-accepted": ("propose unfit",),
    "too-many-transactions-accepted": ("propose unfit",),
    "too-late-expiry-accepted": ("propose unfit",),
    "votes-not-compared": ("vote twice", "tell both"),
    "signatures-of-votes-not-checked": ("forge votes",),
    "signatures-in-proofs-not-checked": ("forge proofs",),
    "size-of-proofs-not-checked": ("shorten proofs", "forge proofs"),
    "signatures-of-certificates-not-checked": ("forge certificates",),
    "size-of-certificates-not-checked": ("forge certificates",),
    "other-epochs-counted": ("speak of another epoch",),
    "kind-not-signed": ("swap roles",),
    "view-not-signed": ("swap views",),
    "wrong-set-of-proposals-accepted": ("wrong new view",),
    "wrong-batch-for-a-digest-taken": ("answer with another batch",),
    "view-change-hash-without-proofs": ("show two view changes",),
    "nothing-watched-in-a-new-view": ("propose nothing", "censor", "skip a height"),
    "invalid-proposal-forgiven": ("propose unfit", "propose refused"),
    "late-batch-accepted": ("propose invalid",),
    "early-batch-accepted": ("propose unfit", "run ahead"),
    "contradictions-elsewhere-not-met": ("open twice", "flood", "show two view changes"),
}
_FIRST: dict[str, frozenset[str]] = {
    "members": frozenset(
        {
            "change-not-seen-in-executed-blocks",
            "change-not-seen-in-installed-blocks",
            "epoch-never-over",
            "epoch-over-with-any-certificate",
            "end-of-an-epoch-left-to-the-clients",
            "last-certificate-held-against-the-new-quorum",
            "last-certificate-under-the-new-keys",
            "nobody-is-shown-out-of-an-old-epoch",
            "observers-not-shown-what-is-stable",
            "votes-of-an-earlier-epoch-bind",
            "window-beyond-the-epoch",
        }
    ),
    "liars": frozenset(
        {
            "anyone-may-propose",
            "second-checkpoint-counted",
            "committed-without-prepared",
            "contradictions-elsewhere-not-met",
            "contradictions-not-reported",
            "digest-not-compared-with-batch",
            "evidence-of-one-message",
            "halts-on-a-lying-checkpoint",
            "invalid-proposal-forgiven",
            "kind-not-signed",
            "later-votes-unbounded",
            "new-view-of-anyone",
            "opens-with-changes-for-other-views",
            "other-epochs-counted",
            "primarys-own-prepare-counted",
            "proposed-requests-not-watched",
            "second-digest-accepted",
            "signatures-in-proofs-not-checked",
            "signatures-of-votes-not-checked",
            "size-of-proofs-not-checked",
            "too-late-expiry-accepted",
            "too-many-bytes-accepted",
            "too-many-transactions-accepted",
            "view-change-hash-without-proofs",
            "votes-not-compared",
            "votes-of-other-digests-counted",
            "wrong-batch-for-a-digest-taken",
            "wrong-set-of-proposals-accepted",
        }
    ),
    "calm": frozenset(
        {
            "silence-never-suspected",
        }
    ),
    "views": frozenset(
        {
            "batches-of-o-not-asked-for",
            "bodies-of-proposals-forgotten",
            "certificates-pruned-above-the-checkpoint",
            "fetches-once-only",
            "past-new-view-entered",
            "joins-the-highest",
            "last-new-view-pruned",
            "last-view-change-pruned",
            "lowest-view-certificate-kept",
            "lowest-view-chosen",
            "never-goes-on-to-the-next-view",
            "new-view-never-sent-again",
            "new-view-timer-never-set",
            "nothing-watched-in-a-new-view",
            "proposes-before-it-knows-o",
            "restart-forgets-batches",
            "restart-forgets-certificates",
            "timer-never-doubled",
            "timer-never-reset",
            "timer-without-cap",
            "waited-for-bodies-refused",
            "too-late-expiry-proposed",
        }
    ),
}


def mix_of(seed: int) -> str:
    """Return the mix of a seed."""
    return _TURNS[seed % len(_TURNS)]


def _number_in_mix(seed: int) -> int:
    return seed // 2 if mix_of(seed) == "liars" else seed // len(_TURNS)


def lie_of(seed: int) -> str:
    """Return the lie that a seed of the mix `liars` tells in any case, else nothing."""
    return _LIES[_number_in_mix(seed) % len(_LIES)] if mix_of(seed) == "liars" else ""


def _make_late(schedule: Schedule) -> Schedule:
    """Let all transactions but the last wait until they do not expire too late (rule 51)."""
    last = max(step.at_ms for step in schedule.steps)
    steps = tuple(
        replace(step, words=(*step.words[:-1], str(LATE_TTL_MS)))
        if step.verb == "submit" and step.at_ms < last - LATE_WAIT_MS
        else step
        for step in schedule.steps
    )
    return replace(schedule, steps=steps)


def _lock(schedule: Schedule, number: int) -> Schedule:
    """Let proposals be prepared by one member and committed by nobody, view after view.

    COMMITs are lost, and by turns of a view's length the PREPAREs to all but one member; every
    second turn its VIEW-CHANGE too. So another batch takes the height, and certificates of two
    views and two digests come together in V (F24).
    """
    random = Random(number)
    steps = [Step(300, "lose", ("commit", "on", "*>*"), LOCK_MS * LOCK_TURNS)]
    for turn in range(LOCK_TURNS):
        chosen = random.randrange(schedule.nodes)
        links = tuple(f"*>{other}" for other in range(schedule.nodes) if other != chosen)
        at_ms = 300 + turn * LOCK_MS
        steps.append(Step(at_ms, "lose", ("prepare", "on", *links), LOCK_MS))
        if turn % 2 == 0:
            steps.append(Step(at_ms, "lose", ("viewchange", "on", f"{chosen}>*"), LOCK_MS + 600))
    return _add_steps(schedule, steps)


def _part(schedule: Schedule, number: int) -> Schedule:
    """Cut one member off until it leaves the view alone; crash it now and then as it catches up."""
    member = 1 + number % (schedule.nodes - 1)
    cut = Step(1200 + 97 * number % 900, "cut", (f"{member}|*",), 2500)
    crashes = [Step(at_ms, "crash", (str(member),), 100) for at_ms in range(4300, 6200, 450)]
    return _add_steps(schedule, [cut, *crashes])


def _add_steps(schedule: Schedule, added: Iterable[Step]) -> Schedule:
    steps = sorted((*schedule.steps, *added), key=lambda step: step.at_ms)
    return replace(schedule, steps=tuple(steps))


def _add_crashes(schedule: Schedule, crashes: Iterable[tuple[int, int, int]]) -> Schedule:
    """Let members be down: (member, at, for)."""
    return _add_steps(
        schedule, [Step(at_ms, "crash", (str(who),), for_ms) for who, at_ms, for_ms in crashes]
    )


def _add_directed(schedule: Schedule, mix: str, number: int) -> Schedule:
    """Add what leads to a place that chance seldom finds.

    The first primary is down while members change, so that an epoch begins with a view change; or
    while the second one lies. All but a lying primary start again in the middle of its proposals.
    """
    turn = number // len(_LIES)
    if mix == "members" and number % 2:
        schedule = _add_crashes(schedule, [(0, 1000, 4500)])
    if mix == "members" and number % 4 == 3:  # where nobody lies nothing is verified
        return replace(schedule, liars=(LiarLine(schedule.nodes - 1, ("replay",)),))
    if mix == "views" and number % 3 == 0:
        return _lock(schedule, number)
    if mix == "views" and number % 3 == PART_TURN:
        return _part(schedule, number)
    if mix == "liars" and turn in BACKUP_TURNS:
        return _add_crashes(schedule, [(0, CRASH_AT_MS, CRASH_FOR_MS)])
    if mix == "liars" and turn == RESTART_TURN:
        others = range(1, schedule.nodes)
        return _add_crashes(schedule, [(who, 900 + 40 * who, 150) for who in others])
    return schedule


def hunting_schedule(seed: int) -> Schedule:
    """Return what a seed is made of.

    In the mix `liars` all lies are told by turns: at first alone, by the first primary or by
    another member; in later turns beside those that the seed has drawn. In some seeds everything
    expires late.
    """
    number = _number_in_mix(seed)
    mix = mix_of(seed)
    schedule = _add_directed(draw_schedule(number, MIXES[mix](number)), mix, number)
    lie, turn = lie_of(seed), number // len(_LIES)
    if number % LATE_EVERY == LATE_EVERY - 1:
        schedule = _make_late(schedule)
    if not lie:
        return schedule
    if turn < ALONE_TURNS:
        return replace(schedule, liars=(LiarLine(int(turn in BACKUP_TURNS), (lie,)),))
    liars = tuple(
        replace(line, behaviours=tuple(sorted({*line.behaviours, lie}))) for line in schedule.liars
    )
    return replace(schedule, liars=liars)


def order_seeds(count: int, name: str, known: int | None) -> list[int]:
    """Return `count` seeds in the order of the hunt for a mutant: known, of its mix, all others."""
    mix = next((mix for mix, names in _FIRST.items() if name in names), "")
    lies = _BY_LIE.get(name, ())

    def rank(seed: int) -> tuple[bool, bool, bool, int]:
        is_told = lie_of(seed) in lies
        return seed != known, not is_told, mix_of(seed) != mix, seed

    return sorted(range(count), key=rank)
