"""How a backup watches its primary (rules 22, 36 and 49).

It watches what it has relayed to the primary with its body, at most R places at a time: within T
of the relay it, or at least another that this node relayed, must be pre-prepared, and then blocks
must go on being executed; after T/2 without a PRE-PREPARE it is relayed again. What a client gave
to this node is spread to all members at once, which is its relay. What came from another member is
relayed only when it is not pre-prepared within T/2: so the crash of its origin loses nothing, and
a member that shows its requests to some replicas only makes them bring it to the primary, not
depose it.

Who has left the view alone watches nobody, and knows no primary that orders for it. What its
clients gave it is offered to all members each status period, or what was spread while its links
were down would wait for the next view (ADR 0011).

When there is nothing to order, the primary still owes an empty batch each idle period; at the end
of an epoch it owes them at once, until the last height is stable (rule 2).
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush, heapreplace

from consensus.effects import RelayRequests, SetTimer
from consensus.events import Timer
from consensus.requests import RequestPool
from consensus.state import State

RELAY_PAUSE_DIVISOR = 8


class Watch:
    """The timers of one replica on its primary; idle while it is the primary itself."""

    def __init__(self, state: State, pool: RequestPool) -> None:
        self._state = state
        self._pool = pool
        self._to_relay: list[tuple[int, bytes]] = []
        self._again: deque[tuple[int, bytes]] = deque()
        self._deadlines: list[tuple[int, bytes]] = []
        self._is_timer_set = False
        self._is_hurried = False

    def process_request(self, digest: bytes, is_local: bool) -> None:
        """Begin to watch for a request that has come in."""
        state, now_ns = self._state, self._state.now.monotonic_ns
        if not state.is_normal or state.primary == state.index:
            return
        if not is_local:
            heappush(self._to_relay, (now_ns + state.timeout_ns // 2, digest))
        elif not self._watch(digest):
            heappush(self._to_relay, (now_ns, digest))
        if not self._is_timer_set:
            self._set_timer()

    def start_view(self) -> None:
        """At the entry into a view: relay what this node took in, oldest first."""
        state, pool, now_ns = self._state, self._pool, self._state.now.monotonic_ns
        self._to_relay, self._deadlines = [], []
        self._again.clear()
        self._is_timer_set = False
        if state.primary == state.index:
            return
        relayed = []
        for digest, request in pool.pending.items():
            is_local = request.origin == state.index
            if is_local and self._watch(digest):
                if digest in pool.ready:
                    relayed.append(digest)
            else:
                due_ns = now_ns if is_local else now_ns + state.timeout_ns // 2
                heappush(self._to_relay, (due_ns, digest))
        if relayed:
            state.emit(RelayRequests(tuple(relayed), state.primary))
        self._set_timer()

    def _watch(self, digest: bytes) -> bool:
        """Run T for a request that is relayed now; False: R places are watched already."""
        pool, now_ns = self._pool, self._state.now.monotonic_ns
        request = pool.pending.get(digest)
        if request is None or digest in pool.watched:
            return True
        cost = pool.places(request)
        if pool.watched_places and pool.watched_places + cost > self._state.config.limits.places:
            return False
        pool.watched[digest] = now_ns
        pool.watched_places += cost
        timeout_ns = self._state.timeout_ns
        self._again.append((now_ns + timeout_ns // 2, digest))
        heappush(self._deadlines, (now_ns + timeout_ns, digest))
        return True

    def _set_timer(self) -> None:
        due_ns = [queue[0][0] for queue in (self._deadlines, self._again) if queue]
        if self._to_relay:
            # What had no place is looked at again a little later, not at once for ever.
            pause_ns = self._state.timeout_ns // RELAY_PAUSE_DIVISOR
            due_ns.append(max(self._to_relay[0][0], self._state.now.monotonic_ns + pause_ns))
        if due_ns:
            self._is_timer_set = True
            after_ns = max(min(due_ns) - self._state.now.monotonic_ns, 0)
            self._state.emit(SetTimer(Timer.REQUEST, after_ns))

    def on_request_timer(self) -> None:
        """Suspect the primary if T has run out for a request; relay what is due."""
        self._is_timer_set = False
        state = self._state
        if not state.is_normal or state.primary == state.index:
            return
        if state.is_behind:
            self._postpone_deadlines()
        if self._is_overdue():
            state.suspect("request timeout")
            return
        hashes = self._collect_relays()
        if hashes:
            state.emit(RelayRequests(tuple(hashes), state.primary))
        self._set_timer()

    def _postpone_deadlines(self) -> None:
        """Give the primary another T for all that is watched: this node itself is behind."""
        due_ns = self._state.now.monotonic_ns + self._state.timeout_ns
        self._deadlines = [(max(due, due_ns), digest) for due, digest in self._deadlines]
        heapify(self._deadlines)

    def _is_overdue(self) -> bool:
        """Tell whether T has run out for a watched request that the primary could have ordered.

        A backlog that is worked off is no reason to leave a primary (rule 49): a request gets T
        from the last block executed, and from the last PRE-PREPARE of one that this node relayed,
        though never more than T_max in all, so that a primary cannot pass one over for ever; for
        one that is pre-prepared itself there is no such end, as long as blocks are executed.
        """
        state, pool, deadlines = self._state, self._pool, self._deadlines
        now_ns = state.now.monotonic_ns
        while deadlines and deadlines[0][0] <= now_ns:
            digest = deadlines[0][1]
            request = pool.pending.get(digest)
            if request is None or digest not in pool.watched:
                heappop(deadlines)
            elif request.expires_at_ms <= state.now.wall_ms + state.config.limits.skew_ms:
                heappop(deadlines)
                del pool.watched[digest]
                pool.watched_places -= pool.places(request)
            elif (due_ns := self._get_due_ns(digest)) > now_ns:
                heapreplace(deadlines, (due_ns, digest))
            else:
                return True
        return False

    def _get_due_ns(self, digest: bytes) -> int:
        """Return until when the primary's work on other requests excuses it for this one."""
        state, pool = self._state, self._pool
        # While this node executes it is its own work that is waited for, not the primary's.
        progress_ns = state.now.monotonic_ns if state.is_executing else state.progress_ns
        latest_ns = pool.watched[digest] + state.config.timers.request_max_ns
        excused_ns = min(max(pool.served_ns, progress_ns) + state.timeout_ns, latest_ns)
        if digest in pool.in_batch:
            return max(excused_ns, progress_ns + state.timeout_ns)
        return excused_ns

    def _collect_relays(self) -> list[bytes]:
        """Return what is to be relayed now: due for the first time, or again after T/2.

        What stands in a proposal needs no relay: its primary has it. It is watched all the same,
        whoever brought it: the primary may have told each half something else (F5).
        """
        pool, now_ns = self._pool, self._state.now.monotonic_ns
        hashes: list[bytes] = []
        later: list[tuple[int, bytes]] = []
        while self._to_relay and self._to_relay[0][0] <= now_ns:
            digest = self._to_relay[0][1]
            is_ready = digest in pool.ready
            if digest not in pool.watched and (is_ready or digest in pool.in_batch):
                if self._watch(digest):
                    hashes += [digest] if is_ready else []
                elif is_ready:
                    break
                else:
                    later.append((now_ns + self._state.timeout_ns // 2, digest))
            heappop(self._to_relay)
        for item in later:
            heappush(self._to_relay, item)
        while self._again and self._again[0][0] <= now_ns:
            digest = self._again.popleft()[1]
            if digest in pool.ready and digest in pool.watched and digest not in hashes:
                hashes.append(digest)
        return hashes

    def offer_again(self) -> None:
        """Out of the normal case: name to all what this node took in, oldest first, R places."""
        state, pool = self._state, self._pool
        hashes: list[bytes] = []
        left = state.config.limits.places
        for digest, request in pool.pending.items():
            if request.origin != state.index or digest not in pool.ready:
                continue
            left -= pool.places(request)
            if left < 0 and hashes:
                break
            hashes.append(digest)
        for member in state.others if hashes else ():
            state.emit(RelayRequests(tuple(hashes), member))

    def on_idle_timer(self) -> bool:
        """Suspect a primary that lets time stand; True: the own empty batch is due (rule 36)."""
        state, patience_ns = self._state, self._get_idle_ns()
        again_ns = patience_ns
        if not state.is_primary:
            patience_ns += state.timeout_ns
        left_ns = state.progress_ns + patience_ns - state.now.monotonic_ns
        self._set_idle_timer(left_ns if left_ns > 0 else again_ns)
        if left_ns <= 0 and not state.is_primary and not state.is_behind:
            state.suspect("no batch, not even an empty one")
        return left_ns <= 0 and state.is_primary

    def _get_idle_ns(self) -> int:
        """Return how long nothing may happen: at the end of an epoch not longer than a re-send."""
        timers = self._state.config.timers
        return timers.idle_ns if self._state.last_height is None else timers.status_ns

    def start_idle(self) -> None:
        """Begin an idle period."""
        self._set_idle_timer(self._get_idle_ns())

    def advance(self) -> None:
        """Begin to watch that the end of the epoch is reached, as soon as it is known (rule 2)."""
        if self._state.last_height is not None and not self._is_hurried:
            self._is_hurried = True
            self.start_idle()

    def _set_idle_timer(self, after_ns: int) -> None:
        self._state.emit(SetTimer(Timer.IDLE, after_ns))
