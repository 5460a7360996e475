"""The pool of requests: what is here, whose it is, and whose turn it is (rule 22).

Bodies are the shell's; here a request is its hash, size, expiry and the member over whose link it
came. Each member has a queue of its own and R places; the primary takes from them in turn, so
nobody can push another out. A request that a second member relays stands in its queue too.

    pending    bodies here, not executed
    ready      pending, and in no proposal of this view: what a primary may propose
    in_batch   in a proposal of this view, or committed: hash to height
    done       executed; the hashes are remembered until their height is stable and a window longer
    watched    relayed to the primary of this view, and when (`consensus.watch`)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from consensus.config import ReplicaConfig
from consensus.events import Request

REFUSED_MAX = 10_000
QUEUE_SLACK = 64  # hashes of what is ordered already that a queue may hold beside the others
# A member that runs ahead of this node may fill its places anew before this node has executed.
PLACES_SLACK = 2


class RequestPool:
    """The requests of one replica. All times are monotonic ns unless they end in `_ms`.

    `served_ns` is when the primary of this view last pre-prepared something that is watched.
    `executed_places` counts all that was executed (rule 49).
    """

    def __init__(self, config: ReplicaConfig) -> None:
        self._limits = config.limits
        self._queues: list[deque[bytes]] = [deque() for _ in range(config.size)]
        self._longest = [QUEUE_SLACK] * config.size
        self._used = [0] * config.size
        self._owners: dict[bytes, tuple[int, ...]] = {}
        self._turn = 0
        self.pending: dict[bytes, Request] = {}
        self.ready: set[bytes] = set()
        self.in_batch: dict[bytes, int] = {}
        self.done: set[bytes] = set()
        self._done_at: dict[int, list[bytes]] = {}
        self._released = 0
        self._waiters: dict[bytes, set[int]] = {}
        self.refused: dict[bytes, None] = {}
        self.watched: dict[bytes, int] = {}
        self.watched_places = 0
        self.served_ns = 0
        self.executed_places = 0

    def places(self, request: Request) -> int:
        """Return how many places a request takes: its execution costs more with its size."""
        return 1 + request.size // self._limits.place_bytes

    def free_places(self, member: int) -> int:
        """Return how many of its R places `member` has left here."""
        return max(0, self._limits.places - self._used[member])

    def has_body(self, digest: bytes) -> bool:
        """Tell whether the shell holds the body, in its pool or in a block."""
        return digest in self.pending or digest in self.done

    def add(self, request: Request, is_local: bool) -> bool:
        """Take a request in; False: there is no place for it, or it was executed before.

        A body that a proposal waits for is always taken (rule 20).
        """
        digest, origin = request.hash, request.origin
        if digest in self.done:
            return digest in self._waiters
        if digest in self.pending:
            self._add_owner(self.pending[digest], origin)
            return True
        cost = self.places(request)
        most = PLACES_SLACK * self._limits.places
        is_full = self._used[origin] and self._used[origin] + cost > most
        if is_full and not is_local and digest not in self._waiters and digest not in self.in_batch:
            return False
        self.pending[digest] = request
        self._owners[digest] = (origin,)
        self._used[origin] += cost
        if digest not in self.in_batch:
            self.ready.add(digest)
            self._queue(digest, origin)
        return True

    def _queue(self, digest: bytes, member: int) -> None:
        """Put a hash into a member's queue; what a backup never takes from it is cleared away."""
        queue = self._queues[member]
        queue.append(digest)
        if len(queue) > self._longest[member]:
            self._queues[member] = deque(item for item in queue if item in self.ready)
            self._longest[member] = 2 * len(self._queues[member]) + QUEUE_SLACK

    def _add_owner(self, request: Request, member: int) -> None:
        """Let a second member that relays a request serve it from its own places too."""
        owners = self._owners[request.hash]
        cost = self.places(request)
        if member in owners or self._used[member] + cost > PLACES_SLACK * self._limits.places:
            return
        self._owners[request.hash] = (*owners, member)
        self._used[member] += cost
        if request.hash in self.ready:
            self._queue(request.hash, member)

    def _remove(self, digest: bytes) -> None:
        request = self.pending.pop(digest, None)
        self.ready.discard(digest)
        if request is None:
            return
        cost = self.places(request)
        for member in self._owners.pop(digest):
            self._used[member] -= cost
        if digest in self.watched:
            del self.watched[digest]
            self.watched_places -= cost

    # What proposals wait for

    def wait_for(self, digests: Iterable[bytes], height: int) -> None:
        """Remember that the proposal for `height` lacks these bodies."""
        for digest in digests:
            self._waiters.setdefault(digest, set()).add(height)

    def pop_waiters(self, digest: bytes) -> list[int]:
        """Return and forget the heights whose proposals wait for a body that is here now."""
        return sorted(self._waiters.pop(digest, ())) if self._waiters else []

    def refuse(self, digest: bytes) -> None:
        """Remember a hash whose body was refused at the door, the last ones (rule 17)."""
        self.refused[digest] = None
        if len(self.refused) > REFUSED_MAX:
            del self.refused[next(iter(self.refused))]

    # Proposing

    def take(self, time_ms: int) -> list[bytes]:
        """Return the hashes of the next batch, taken from the members in turn.

        What is expired at `time_ms` would only become EXPIRED: it is passed over, and `expire`
        removes it. What expires later than MAX_TTL after it waits for a later batch (rule 17).
        """
        limits = self._limits
        taken: list[bytes] = []
        later: list[tuple[int, bytes]] = []
        room, late = limits.batch_bytes, time_ms + limits.max_ttl_ms
        while len(taken) < limits.batch_count:
            digest, member = self._next()
            if digest is None:
                break
            request = self.pending[digest]
            if request.expires_at_ms <= time_ms:
                self.ready.discard(digest)
                continue
            if request.expires_at_ms > late:
                later.append((member, digest))
                continue
            if request.size > room and taken:
                later.append((member, digest))
                break
            taken.append(digest)
            self.ready.discard(digest)
            room -= request.size
        for member, digest in reversed(later):
            self._queues[member].appendleft(digest)
        return taken

    def _next(self) -> tuple[bytes | None, int]:
        """Return the next ready hash, members in turn, and whose queue it stood in."""
        size = len(self._queues)
        for step in range(size):
            member = (self._turn + step) % size
            queue = self._queues[member]
            while queue:
                digest = queue.popleft()
                if digest in self.ready:
                    self._turn = (member + 1) % size
                    return digest, member
        return None, 0

    def mark_in_batch(self, digests: Iterable[bytes], height: int, now_ns: int) -> None:
        """Note that a proposal of this view holds these hashes."""
        for digest in digests:
            self.in_batch[digest] = height
            if digest in self.watched:
                self.served_ns = now_ns
            self.ready.discard(digest)

    # Executed, expired, a new view

    def process_executed(self, digests: Iterable[bytes], height: int) -> bool:
        """Move what block `height` executed to `done`; True if one of them is executed anew."""
        is_new = False
        fresh = []
        for digest in digests:
            request = self.pending.get(digest)
            self.executed_places += 1 if request is None else self.places(request)
            self.in_batch.pop(digest, None)
            self._waiters.pop(digest, None)
            self._remove(digest)
            if digest not in self.done:
                is_new = True
                self.done.add(digest)
                fresh.append(digest)
        if fresh:
            self._done_at[height] = fresh
        return is_new

    def release(self, height: int) -> list[bytes]:
        """Return the hashes executed up to `height`, which is stable: their bodies may go."""
        gone = [
            digest
            for number, digests in self._done_at.items()
            if self._released < number <= height
            for digest in digests
        ]
        self._released = max(self._released, height)
        for number in [item for item in self._done_at if item <= height - self._limits.window]:
            self.done.difference_update(self._done_at.pop(number))
        return gone

    def get_expired(self, wall_ms: int) -> list[bytes]:
        """Return what has expired by the own clock and is in no proposal of this view.

        The skew allowed to a primary's clock is waited for: it may still propose what it holds.
        """
        limit = wall_ms - self._limits.skew_ms
        return [
            digest
            for digest, request in self.pending.items()
            if request.expires_at_ms <= limit
            and digest not in self.in_batch
            and digest not in self._waiters
        ]

    def remove(self, digests: Iterable[bytes]) -> None:
        """Forget requests that will never be executed: they have expired."""
        for digest in digests:
            self._remove(digest)

    def start_view(self) -> None:
        """Begin a view: nothing is in a batch, all is ready, nothing is watched (rule 22)."""
        self.in_batch = {}
        self._waiters = {}
        self.ready = set(self.pending)
        self._queues = [deque() for _ in self._queues]
        for digest in self.pending:
            for member in self._owners[digest]:
                self._queue(digest, member)
        self.watched = {}
        self.watched_places = 0
        self.served_ns = 0
