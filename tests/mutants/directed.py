"""What a seed of the hunt is made of: mixes by turns, each leading to one kind of fault.

`any` is what the simulator makes of a seed by itself. The others lead where one kind of fault is
likely: a seed is cheap there, and a mutant is seen sooner. `_FIRST` says for whom which mix is
tried before the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulator.byzantine import BEHAVIOURS
from tests.simulator.draw import LATE_TTL_MS, Options, draw_schedule
from tests.simulator.mixes import options_of
from tests.simulator.schedule import LiarLine, Schedule

SIZES = (4, 5, 6, 7)
ALONE_TURNS = 8
LATE_WAIT_MS = 2_000  # by which `LATE_TTL_MS` is above MAX_TTL
LATE_EVERY = 7  # of so many seeds, one in which nearly everything expires late
BACKUP_TURNS = (4, 5)  # in which the lie is not told by the first primary
_LIES = tuple(sorted(BEHAVIOURS))


def _any(seed: int) -> Options:
    return replace(options_of(seed), service_ms=2_000)


def _views(seed: int) -> Options:
    """Many views in a row: votes are lost, members crash, some lie."""
    faults = {"loss", "partition", "crash", "reorder"} | ({"byzantine"} if seed % 2 else set())
    faults |= {"clock"} if seed % LATE_EVERY == LATE_EVERY - 1 else set()
    return Options(
        nodes=SIZES[seed // 2 % len(SIZES)],
        faults=frozenset(faults),
        transactions=40,
        is_tight=seed % 4 < 2,
        chance=0.9,
    )


def _liars(seed: int) -> Options:
    """Liars, and little else; `hunting_schedule` says who tells which lie."""
    turn = seed // len(_LIES)
    return Options(
        nodes=SIZES[(seed + turn) % len(SIZES)],
        faults=frozenset({"byzantine", "reorder"}),
        transactions=60 if turn % 2 else 24,
        clump_ms=600 if turn % 4 else 1,
        is_tight=seed % 3 == 1,
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
    "past-new-view-entered": ("replay", "open twice"),
    "invalid-proposal-forgiven": ("propose unfit", "propose refused"),
    "late-batch-accepted": ("propose invalid",),
    "early-batch-accepted": ("propose unfit", "run ahead"),
    "no-floor-under-a-primary": ("order slowly", "order late"),
    "contradictions-elsewhere-not-met": ("open twice", "flood", "show two view changes"),
    "proposed-requests-not-watched": ("tell both", "equivocate"),
}
_FIRST: dict[str, frozenset[str]] = {
    "members": frozenset(
        {
            "change-not-seen-in-executed-blocks",
            "change-not-seen-in-installed-blocks",
            "epoch-never-over",
            "epoch-over-with-any-certificate",
            "idle-primary-at-the-end-not-hurried",
            "last-certificate-held-against-the-new-quorum",
            "last-certificate-under-the-new-keys",
            "no-empty-batches-at-the-end",
            "nobody-is-shown-out-of-an-old-epoch",
            "observer-never-becomes-a-replica",
            "observers-not-shown-what-is-stable",
            "observers-vote-in-a-status",
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
            "no-floor-under-a-primary",
            "opens-with-changes-for-other-views",
            "other-epochs-counted",
            "past-new-view-entered",
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
            "floor-counts-no-work",
            "silence-never-suspected",
        }
    ),
    "views": frozenset(
        {
            "batches-of-o-not-asked-for",
            "bodies-of-proposals-forgotten",
            "certificates-pruned-above-the-checkpoint",
            "fetches-once-only",
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


def hunting_schedule(seed: int) -> Schedule:
    """Return what a seed is made of.

    In the mix `liars` all lies are told by turns: at first alone, by the first primary or by
    another member; in later turns beside those that the seed has drawn. In some seeds everything
    expires late.
    """
    number = _number_in_mix(seed)
    schedule = draw_schedule(number, MIXES[mix_of(seed)](number))
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


def order_seeds(first: int, last: int, name: str, known: int | None) -> list[int]:
    """Return the seeds in the order of the hunt for a mutant: known, of its mix, all others."""
    mix = next((mix for mix, names in _FIRST.items() if name in names), "")
    lies = _BY_LIE.get(name, ())

    def rank(seed: int) -> tuple[bool, bool, bool, int]:
        is_told = lie_of(seed) in lies
        return seed != known, not is_told, mix_of(seed) != mix, seed

    return sorted(range(first, last + 1), key=rank)
