"""Files that people name on the command line, with one error when they cannot be used (8001)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ledger.errors import Code, LocalError


def read_bytes(path: Path) -> bytes:
    """Return what a file holds; raise `LocalError` (8001)."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error.strerror}") from None


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist; raise `LocalError` (8001)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise LocalError(Code.INPUT_FILE, f"{path} exists; name another file") from None
    except OSError as error:
        raise LocalError(Code.INPUT_FILE, f"cannot write {path}: {error.strerror}") from None


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, over an older one; raise `LocalError` (8001)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise LocalError(Code.INPUT_FILE, f"cannot write {path}: {error.strerror}") from None
