"""What survives a crash of a simulated member: its chain, and its vote log on a disk that may lie.

The log is the real one (`ledger.storage.vote_log`) over simulated files: a crash tears writes
sector by sector at any operation of a sync, a lying disk says that it has synced and has not, and a
damaged one flips a bit while the member is down. What was promised (appended without an error) is
remembered beside the disk: a disk that told the truth must give all of it back, whatever happened,
and a log that is damaged must give it back or be refused, never something else (rules 45, 46).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from consensus.effects import Persist
from consensus.log import (
    AcceptedRecord,
    VoteRecord,
    decode_record,
    encode_record,
    retained,
)
from ledger.errors import StorageError
from ledger.storage.vote_log import VoteLog, create_vote_log, open_vote_log
from tests.simulator.checkers import ViolationError
from tests.simulator.model_ledger import ModelLedger
from tests.storage.simulated_files import Crash, SimulatedFiles

FOLDER = Path("/votes")
PRUNE_BYTES = 6 * 1024
_VOTE, _BODY = b"v", b"b"
# A group of records is one write and one sync of the log, then one of each of the guard.
OPERATIONS_A_GROUP = 4


class Home:
    """The disk of one member. `is_true` while it has lost nothing that it said was durable."""

    def __init__(self, ledger: ModelLedger, identity: bytes, random: Random) -> None:
        self.ledger = ledger
        self.is_true = True
        self._identity = identity
        self._random = random
        self._files = SimulatedFiles()
        self._log: VoteLog = create_vote_log(FOLDER, self._files, identity)
        self._live: list[VoteRecord] = []
        self._logged: set[bytes] = set()
        self._promised: list[bytes] = []
        self._before_prune: list[bytes] = []
        self._safe_height: int | None = None
        self._is_damaged = False

    # While the member is up

    def _entries(self, effects: Sequence[Persist]) -> list[bytes]:
        entries: list[bytes] = []
        for effect in effects:
            fresh = [item for item in effect.bodies if item not in self._logged]
            self._logged.update(fresh)
            entries += [_BODY + item for item in fresh]
            entries.append(_VOTE + encode_record(effect.record))
        return entries

    def append(self, effects: Sequence[Persist]) -> None:
        """Make records durable, with the bodies behind them."""
        entries = self._entries(effects)
        self._log.append(entries)
        self._promised += entries
        self._live += [effect.record for effect in effects]

    def has_logged(self, body: bytes) -> bool:
        """Tell whether a body is in the log."""
        return body in self._logged

    def is_due(self) -> bool:
        """Tell whether the log is long enough to be cut."""
        return self._log.size_bytes > PRUNE_BYTES

    def prune(self, stable_height: int) -> None:
        """Cut the log to what must stay above a stable height."""
        kept = retained(self._live, stable_height)
        self._logged = set()
        entries: list[bytes] = []
        for record in kept:
            if isinstance(record, AcceptedRecord):
                fresh = [
                    item
                    for item in record.pre_prepare.batch.transactions
                    if item not in self._logged
                ]
                self._logged.update(fresh)
                entries += [_BODY + item for item in fresh]
            entries.append(_VOTE + encode_record(record))
        self._before_prune, self._promised = self._promised, entries
        self._live = kept
        self._log.prune(entries)
        self._before_prune = []

    def set_lying(self, is_lying: bool) -> None:
        """Let the disk say that it syncs, and not do it; or be true again from the next sync."""
        self._files.is_lying = is_lying
        if is_lying and self._safe_height is None:
            self._safe_height = self.ledger.height

    def on_block(self) -> None:
        """Note that a block was synced: on a disk that is true again all before it is safe."""
        if not self._files.is_lying:
            self._safe_height = None

    # The crash

    def crash_in_append(self, effects: Sequence[Persist], how: str) -> None:
        """Stop within a sync: at any operation, or at one that fails."""
        place = self._files.operations + self._random.randint(1, OPERATIONS_A_GROUP)
        self._stop_at(place, how)
        try:
            self._log.append(self._entries(effects))
        except (Crash, StorageError):
            return

    def crash_in_prune(self, stable_height: int, how: str) -> None:
        """Stop within a cut of the log."""
        self._stop_at(self._files.operations + self._random.randint(1, 9), how)
        try:
            self.prune(stable_height)
        except (Crash, StorageError):
            return

    def _stop_at(self, operation: int, how: str) -> None:
        if how == "failing":
            self._files.fail_at = operation
        else:
            self._files.crash_at = operation

    def crash(self, pending: Sequence[Persist] = ()) -> list[Persist]:
        """Lose what a machine that stops may lose; return those of `pending` that survived."""
        is_lying = self._files.is_lying
        self._files = self._files.after_crash(self._random)
        self._files.is_lying = is_lying
        if self._safe_height is not None and self._safe_height < self.ledger.height:
            self.ledger.roll_back(self._safe_height)
            self.is_true = False
        self.ledger.crash()
        try:
            entries = self._open()
        except StorageError as error:
            if self._safe_height is None:
                raise ViolationError(f"a log that told the truth is refused: {error}") from None
            self.is_true = False
            return []
        self._compare(entries, pending)
        held = {entry[1:] for entry in entries if entry[:1] == _VOTE}
        return [effect for effect in pending if encode_record(effect.record) in held]

    def _open(self) -> list[bytes]:
        self._log = open_vote_log(FOLDER, self._files, self._identity)
        return self._log.read()

    def _compare(self, entries: list[bytes], pending: Sequence[Persist]) -> None:
        """Hold what the log gives back against what was promised."""
        wanted = {_VOTE + encode_record(effect.record) for effect in pending}
        for promised in (self._promised, self._before_prune):
            is_whole = entries[: len(promised)] == promised
            rest = entries[len(promised) :]
            if is_whole and all(item in wanted or item[:1] == _BODY for item in rest):
                self._promised = entries
                return
        if self._safe_height is None:
            raise ViolationError("a log that told the truth has lost a promise (rule 45)")
        self.is_true = False
        self._promised = entries

    def damage(self) -> str:
        """Flip a bit of the log or its guard while the member is down; return the file's name."""
        name = self._random.choice(self._files.names(FOLDER))
        data = bytearray(self._files.read(FOLDER / name) or b"\x00")
        place = self._random.randrange(len(data))
        data[place] ^= 1 << self._random.randrange(8)
        self._files.overwrite(FOLDER / name, bytes(data))
        self._is_damaged = True
        return name

    # The next start

    def open(self) -> tuple[list[VoteRecord], set[bytes]]:
        """Return the records and bodies of the log; raise `StorageError` where it is refused."""
        entries = self._open()
        if entries != self._promised:
            raise ViolationError("a damaged log gives back something else (rule 45)")
        self._is_damaged = False
        self._live = [decode_record(entry[1:]) for entry in entries if entry[:1] == _VOTE]
        self._logged = {entry[1:] for entry in entries if entry[:1] == _BODY}
        return list(self._live), set(self._logged)
