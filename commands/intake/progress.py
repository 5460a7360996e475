"""What of a file has gone in, kept beside it, so that a broken submission goes on where it was.

One JSON object a line, appended and synced: the first names the file, the mapping, the chain and
the sender; then each batch is noted twice, with its id and expiry before it is sent and with its
result afterwards. A batch that was sent and not answered is sent again with the same expiry, which
makes it the same transaction: the ledger executes it once. A progress file of other content is
refused, not overwritten; a torn last line, from a crash, is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import Code, LocalError

FORMAT = "creditledger/progress/1"
SUFFIX = ".progress"


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: its transaction id, the expiry that was signed, and the result if there is one."""

    id: bytes
    expires_at_ms: int
    code: int | None = None
    height: int | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether the batch has its result."""
        return self.code is not None


class Progress:
    """The progress file of one submission; `steps` by the batch's nonce."""

    def __init__(self, path: Path, header: Mapping[str, Any], steps: dict[bytes, Step]) -> None:
        self.path = path
        self.steps = steps
        self._header = header

    @classmethod
    def open(
        cls, path: Path, *, file_digest: bytes, mapping_digest: bytes, chain_id: bytes, sender: str
    ) -> Progress:
        """Return the progress kept at `path`, or a new one; `LocalError` 8001 for another's."""
        header = {
            "format": FORMAT,
            "file": file_digest.hex(),
            "mapping": mapping_digest.hex(),
            "chain": chain_id.hex(),
            "sender": sender,
        }
        lines = _read_lines(path)
        if lines and lines[0] != header:
            raise LocalError(
                Code.INPUT_FILE,
                f"{path} belongs to another file, mapping, sender or chain: remove it",
            )
        steps: dict[bytes, Step] = {}
        for line in lines[1:]:
            nonce = bytes.fromhex(line["nonce"])
            steps[nonce] = Step(
                bytes.fromhex(line["id"]),
                line["expires_at_ms"],
                line.get("code"),
                line.get("height"),
            )
        progress = cls(path, header, steps)
        if not lines:
            progress._append(header)
        return progress

    def get(self, nonce: bytes) -> Step | None:
        """Return what is known of the batch with this nonce."""
        return self.steps.get(nonce)

    def note_sent(self, nonce: bytes, transaction_id: bytes, expires_at_ms: int) -> None:
        """Note a batch before it is sent."""
        self._note(nonce, Step(transaction_id, expires_at_ms))

    def note_done(self, nonce: bytes, code: int, height: int) -> None:
        """Note the certified result of a batch that was noted as sent."""
        sent = self.steps.get(nonce)
        if sent is None:
            raise LocalError(Code.INTERNAL, "a batch has a result and was never sent")
        self._note(nonce, Step(sent.id, sent.expires_at_ms, code, height))

    def _note(self, nonce: bytes, step: Step) -> None:
        self.steps[nonce] = step
        line: dict[str, Any] = {
            "nonce": nonce.hex(),
            "id": step.id.hex(),
            "expires_at_ms": step.expires_at_ms,
        }
        if step.is_done:
            line |= {"code": step.code, "height": step.height}
        self._append(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with self.path.open("a+b") as file:
                if file.tell() and not _ends_a_line(file):
                    file.write(b"\n")
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LocalError(
                Code.INPUT_FILE, f"cannot write {self.path}: {error.strerror}"
            ) from None


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        raw = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error.strerror}") from None
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(raw, 1):
        if not text:
            continue
        try:
            lines.append(json.loads(text))
        except ValueError:
            if number == 1:
                raise LocalError(Code.INPUT_FILE, f"{path} is no progress file") from None
            continue  # a line torn by a crash: its batch is sent again, as the same transaction
    return lines
