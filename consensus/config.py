"""What a replica is told once: who the members are, which one it is, and every limit and timer.

Limits stand in one place and are checked against each other when the configuration is made, so
that a replica cannot be started with numbers under which a rule fails: the window bounds what a
NEW-VIEW may weigh (rule 29), and the places that the primary keeps for the members bound how long
an honest primary may need for what was relayed to it (rule 22). There are two presets: production,
and a minimal one with tiny windows, so that the edges are reached at once. Times ending in `_ns`
are monotonic nanoseconds, those in `_ms` are chain time or wall clock in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.epochs import PreviousEpoch
from ledger.chain.batch import MAX_BATCH_TRANSACTIONS
from ledger.chain.certificate import MAX_MEMBERS, fault_bound, quorum, weak_quorum
from ledger.chain.hashes import HASH_BYTES
from ledger.errors import Code, LocalError
from ledger.keys import PUBLIC_KEY_BYTES

MEMBERS_MIN = 4
OBSERVER = -1  # the index of a node that follows an epoch and does not vote in it
# Rule 29: L·n bounds the distinct signed votes that one NEW-VIEW makes a replica verify.
WINDOW_TIMES_MEMBERS_MAX = 10_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timers:
    """Durations in nanoseconds.

    `request_ns` is the paper's T, `request_max_ns` the cap T_max of its doubling (rule 27),
    `delay_ns` is Δ, the message delay that the network is expected to keep when it is well.
    `floor_ns` is M, the time after which a primary below the floor is replaced (rule 49).
    """

    request_ns: int
    request_max_ns: int
    delay_ns: int
    status_ns: int
    idle_ns: int
    batch_delay_ns: int
    floor_ns: int

    def __post_init__(self) -> None:
        if min(self.request_ns, self.delay_ns, self.status_ns, self.idle_ns) < 1:
            raise LocalError(Code.CONFIG_INVALID, "a timer is not positive")
        if self.batch_delay_ns < 0:
            raise LocalError(Code.CONFIG_INVALID, "the batch delay is negative")
        if self.request_max_ns <= 8 * self.delay_ns:
            raise LocalError(Code.CONFIG_INVALID, "T_max is not above eight message delays")
        if self.request_max_ns < self.request_ns:
            raise LocalError(Code.CONFIG_INVALID, "T_max is below T")
        if self.floor_ns < max(2 * self.request_ns, self.status_ns):
            raise LocalError(
                Code.CONFIG_INVALID, "M is below two T, or below a status period (rule 49)"
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of everything a replica holds or proposes.

    `window` is L. `places` is R: how many places each member has in the queue of the primary; a
    request takes `1 + size // place_bytes` of them. `places_rate` is how many places the slowest
    honest node executes in a second. `floor_places` is X, how many places a primary with a backlog
    gets executed within M, at the least (rule 49). `pipeline` is how many batches the primary keeps
    in flight while the queue holds less than a full batch. `backlog_ms` and `skew_ms` bound the
    time of a fresh batch below and above the own clock (rule 15), `max_ttl_ms` is MAX_TTL (rule
    51).
    """

    window: int
    places: int
    place_bytes: int
    places_rate: int
    floor_places: int
    batch_count: int
    batch_bytes: int
    pipeline: int
    backlog_ms: int
    skew_ms: int
    max_ttl_ms: int

    def __post_init__(self) -> None:
        if not 1 <= self.pipeline <= self.window:
            raise LocalError(Code.CONFIG_INVALID, "want 1 <= pipeline <= window")
        if not 1 <= self.batch_count <= MAX_BATCH_TRANSACTIONS:
            raise LocalError(
                Code.CONFIG_INVALID, f"want a batch count of 1 to {MAX_BATCH_TRANSACTIONS}"
            )
        if min(self.places, self.place_bytes, self.places_rate, self.batch_bytes) < 1:
            raise LocalError(Code.CONFIG_INVALID, "a limit is not positive")
        if min(self.backlog_ms, self.skew_ms, self.max_ttl_ms) < 1:
            raise LocalError(Code.CONFIG_INVALID, "a bound on time is not positive")


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """One epoch as one node sees it; `members` are its ordered public keys (rules 2, 4).

    `index` is the own place among them, or `OBSERVER`. `previous` is the epoch before, None only in
    epoch 0, which begins at genesis. Who is more than `far_blocks` behind fetches a snapshot rather
    than blocks (rule 41); 0 on a chain that has none.
    """

    chain_id: bytes
    epoch: int
    members: tuple[bytes, ...]
    index: int
    limits: Limits
    timers: Timers
    previous: PreviousEpoch | None = None
    far_blocks: int = 0
    size: int = field(init=False)
    fault_bound: int = field(init=False)
    quorum: int = field(init=False)
    weak_quorum: int = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.members)
        object.__setattr__(self, "size", size)
        _check_members(self)
        _check_against_each_other(self)
        object.__setattr__(self, "fault_bound", fault_bound(size))
        object.__setattr__(self, "quorum", quorum(size))
        object.__setattr__(self, "weak_quorum", weak_quorum(size))

    def primary(self, view: int) -> int:
        """Return the index of the primary of `view` (rule 4)."""
        return view % self.size


def _check_members(config: ReplicaConfig) -> None:
    if len(config.chain_id) != HASH_BYTES:
        raise LocalError(Code.CONFIG_INVALID, f"chain id of {len(config.chain_id)} bytes, want 32")
    if config.epoch < 0:
        raise LocalError(Code.CONFIG_INVALID, f"epoch {config.epoch} is negative")
    if (config.epoch > 0) != (config.previous is not None):
        raise LocalError(
            Code.CONFIG_INVALID, f"epoch {config.epoch} with or without the epoch before it"
        )
    if not MEMBERS_MIN <= config.size <= MAX_MEMBERS:
        raise LocalError(
            Code.CONFIG_INVALID, f"{config.size} members, want {MEMBERS_MIN} to {MAX_MEMBERS}"
        )
    if any(len(key) != PUBLIC_KEY_BYTES for key in config.members):
        raise LocalError(Code.CONFIG_INVALID, "a member's public key is not 32 bytes")
    if len(set(config.members)) != config.size:
        raise LocalError(Code.CONFIG_INVALID, "two members have the same public key")
    if config.index != OBSERVER and not 0 <= config.index < config.size:
        raise LocalError(Code.CONFIG_INVALID, f"own index {config.index} of {config.size} members")


def _check_against_each_other(config: ReplicaConfig) -> None:
    limits, timers = config.limits, config.timers
    if limits.window * config.size > WINDOW_TIMES_MEMBERS_MAX:
        raise LocalError(
            Code.CONFIG_INVALID,
            f"window {limits.window} times {config.size} members, want at most 10000 (rule 29)",
        )
    executed = limits.places_rate * timers.request_ns // (2 * NS_PER_S)
    if config.size * limits.places > executed:
        raise LocalError(
            Code.CONFIG_INVALID,
            f"{config.size} members with {limits.places} places each, want at most {executed} "
            "places in all, what executes within T/2 (rule 22)",
        )
    if not 1 <= limits.floor_places <= max(1, limits.places // 2):
        raise LocalError(
            Code.CONFIG_INVALID,
            f"floor of {limits.floor_places} places, want 1 to half of the {limits.places} that a "
            "member has, which execute in an eighth of M or less (rules 22 and 49)",
        )
    if limits.batch_bytes < limits.place_bytes:
        raise LocalError(Code.CONFIG_INVALID, "a batch holds less than one place")


def production(
    chain_id: bytes,
    epoch: int,
    members: tuple[bytes, ...],
    index: int,
    previous: PreviousEpoch | None = None,
) -> ReplicaConfig:
    """Return the preset for real networks; a killed primary is replaced in less than 2 s."""
    timers = Timers(
        request_ns=NS_PER_S,
        request_max_ns=16 * NS_PER_S,
        delay_ns=100 * NS_PER_MS,
        status_ns=NS_PER_S,
        idle_ns=10 * NS_PER_S,
        batch_delay_ns=5 * NS_PER_MS,
        floor_ns=4 * NS_PER_S,
    )
    # A core that four nodes share on a small machine: checks and executes a 1 KiB place in a ms.
    places_rate = 2000
    places = max(1, places_rate * timers.request_ns // (2 * NS_PER_S) // max(1, len(members)))
    limits = Limits(
        window=max(2, min(32, WINDOW_TIMES_MEMBERS_MAX // max(1, len(members)))),
        places=places,
        place_bytes=1024,
        places_rate=places_rate,
        floor_places=max(1, places // 2),
        batch_count=500,
        batch_bytes=256 * 1024,
        pipeline=2,
        backlog_ms=30_000,
        skew_ms=2_000,
        max_ttl_ms=24 * 3600 * 1000,
    )
    return ReplicaConfig(chain_id, epoch, members, index, limits, timers, previous)


def minimal(
    chain_id: bytes,
    epoch: int,
    members: tuple[bytes, ...],
    index: int,
    previous: PreviousEpoch | None = None,
) -> ReplicaConfig:
    """Return the preset of tests: every edge (window, places, batch, cap) is a few steps away."""
    timers = Timers(
        request_ns=NS_PER_S,
        request_max_ns=8 * NS_PER_S,
        delay_ns=50 * NS_PER_MS,
        status_ns=NS_PER_S,
        idle_ns=10 * NS_PER_S,
        batch_delay_ns=5 * NS_PER_MS,
        floor_ns=2 * NS_PER_S,
    )
    limits = Limits(
        window=4,
        places=8,
        place_bytes=1024,
        places_rate=16 * max(1, len(members)),
        floor_places=4,
        batch_count=3,
        batch_bytes=4096,
        pipeline=2,
        backlog_ms=30_000,
        skew_ms=2_000,
        max_ttl_ms=600_000,
    )
    return ReplicaConfig(chain_id, epoch, members, index, limits, timers, previous)
