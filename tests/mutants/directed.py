"""What a seed of the hunt is made of: five mixes by turns, each leading to one kind of fault.

`any` is what the simulator makes of a seed by itself. The others lead where one kind of fault is
likely: a seed is cheap there, and a mutant is seen sooner. `_FIRST` says for whom which mix is
tried before the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulator.draw import Options
from tests.simulator.mixes import options_of

SIZES = (4, 5, 6, 7)


def _any(seed: int) -> Options:
    return replace(options_of(seed), service_ms=2_000)


def _views(seed: int) -> Options:
    """Many views in a row: votes are lost, members crash, some lie."""
    faults = {"loss", "partition", "crash", "reorder"} | ({"byzantine"} if seed % 2 else set())
    return Options(
        nodes=SIZES[seed // 2 % len(SIZES)],
        faults=frozenset(faults),
        transactions=40,
        is_tight=seed % 4 < 2,
        chance=0.9,
    )


def _liars(seed: int) -> Options:
    """Liars, and little else."""
    return Options(
        nodes=SIZES[seed % len(SIZES)],
        faults=frozenset({"byzantine", "reorder"}),
        transactions=60 if seed % 5 == 2 else 24,
        clump_ms=600 if seed % 5 in (2, 4) else 1,
        is_tight=seed % 3 == 1,
        chance=0.9,
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
_TURNS = tuple(MIXES)

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
            "checkpoints-not-compared",
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
            "too-late-expiry-proposed",
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
        }
    ),
}


def mix_of(seed: int) -> str:
    """Return the mix of a seed."""
    return _TURNS[seed % len(_TURNS)]


def hunting_options(seed: int) -> Options:
    """Return what a seed is made of."""
    return MIXES[mix_of(seed)](seed // len(_TURNS))


def order_seeds(first: int, last: int, name: str, known: int | None) -> list[int]:
    """Return the seeds in the order of the hunt for a mutant: known, of its mix, all others."""
    seeds = range(first, last + 1)
    mix = next((mix for mix, names in _FIRST.items() if name in names), "")
    return sorted(seeds, key=lambda seed: (seed != known, mix_of(seed) != mix, seed))
