"""Terms of an authorisation in a file, to be signed by the natural persons who are named in them.

The file is JSON: the chain, the terms as the body of a transaction has them, the consent that is to
be accepted where a bank asked for it, and the agreements so far, by person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.files import read_bytes
from ledger.errors import Code, LocalError


def from_hex(text: str) -> bytes:
    """Return the bytes of hexadecimal digits; raise `LocalError` (8004)."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise LocalError(Code.INPUT_USAGE, f"{text[:80]} is not hexadecimal") from None


def write_draft(path: Path, draft: Mapping[str, Any]) -> None:
    """Write a draft for persons to sign; raise `LocalError` (8001)."""
    try:
        path.write_text(json.dumps(draft, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise LocalError(Code.INPUT_FILE, f"{path}: {error.strerror}") from None


def read_draft(path: Path) -> dict[str, Any]:
    """Return a draft; raise `LocalError` (8001) where the file holds none."""
    try:
        draft = json.loads(read_bytes(path))
    except ValueError:
        draft = None
    wanted = {"chain": str, "body": dict, "agreements": dict}
    if not isinstance(draft, dict) or any(
        not isinstance(draft.get(name), kind) for name, kind in wanted.items()
    ):
        raise LocalError(Code.INPUT_FILE, f"{path} is no draft of an authorisation")
    return draft


def body_of(draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms in a draft as the body of a transaction has them."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in draft["body"].items()
    }


def agreements_of(draft: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    """Return the agreements in a draft as the body of a transaction has them."""
    return tuple(
        (person, from_hex(str(signature)))
        for person, signature in sorted(draft["agreements"].items())
    )
