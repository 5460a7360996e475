"""Passwords of key files: from a file that a service can read, from the environment, or typed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from commands.files import read_bytes
from ledger.errors import Code, LocalError

VARIABLE = "CREDITLEDGER_KEY_PASSWORD"


def new_password(file: Path | None, is_plain: bool) -> bytes | None:
    """Return the password for a new key file; None only where the user wants the key in clear."""
    given = _given(file)
    if given is not None:
        return given
    if is_plain:
        return None
    if not sys.stdin.isatty():
        raise LocalError(
            Code.INPUT_USAGE,
            f"no password: give --password-file or {VARIABLE}, or say --no-password",
        )
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed.encode()


def old_password(file: Path | None) -> bytes | None:
    """Return the password that was given for existing key files, if any."""
    return _given(file)


def _given(file: Path | None) -> bytes | None:
    if file is not None:
        password = read_bytes(file).strip()
        if not password:
            raise LocalError(Code.INPUT_FILE, f"password file {file} is empty")
        return password
    text = os.environ.get(VARIABLE)
    return text.encode() if text else None
