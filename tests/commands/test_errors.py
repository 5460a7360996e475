"""Errors are one line on stderr with their number, and an exit code that a script can act on."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit, LazyGroup, error_line, exit_code
from ledger.errors import Code, LocalError, Refused, Rejected, RuleSourceError, StorageError


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["genesis", "show"], "Missing argument 'DOCUMENT'"),
        (["loan", "apply", "X", "P/1", "--amount", "1e6", "--days", "5", "--as", "D01"], "'1e6'"),
        (["tx", "status", "abc"], "want 64 hexadecimal digits"),
        (["company", "show", "not a code", "--as", "D01"], "unified social credit code"),
        (["exposure", "show", "icbc-gd"], "Missing option '--as'"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments: list[str], text: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == Exit.USAGE
    assert text in result.stderr
    assert result.stderr.startswith("error E8004: ")
    assert result.stderr.count("\n") == 1


def test_no_network_says_how_to_make_one(tmp_path: Path) -> None:
    result = _run("--net", tmp_path / "gone", "member", "list")
    assert result.exit_code == Exit.USAGE
    assert "make one with devnet up" in result.stderr


def test_unknown_profile_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "clients" / "D02").mkdir(parents=True)
    result = _run("--net", tmp_path, "member", "list", "--as", "D99")
    assert result.exit_code == Exit.USAGE
    assert "no profile D99" in result.stderr
    assert "D02" in result.stderr


def test_absent_file_is_named(tmp_path: Path) -> None:
    result = _run("genesis", "show", tmp_path / "none")
    assert result.exit_code == Exit.REFUSED
    assert result.stderr == f"error E8001: cannot read {tmp_path}/none: No such file or directory\n"


def test_genesis_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "genesis.bin"
    path.write_bytes(b"\x81\xa1a\x01\x00")
    result = _run("genesis", "verify", path)
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.startswith("error E7001: ")


def test_receipt_of_other_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.receipt"
    path.write_bytes(b"\x80")
    result = _run("verify", path)
    assert result.exit_code == Exit.USAGE
    assert "--trust" in result.stderr


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (Code.ASSET_ALREADY_PLEDGED, Exit.REFUSED),
        (Code.LOAN_UNKNOWN, Exit.NOT_FOUND),
        (Code.NOT_FOUND, Exit.NOT_FOUND),
        (Code.INPUT_USAGE, Exit.USAGE),
        (Code.BUSY, Exit.NETWORK),
        (Code.CONNECT_FAILED, Exit.NETWORK),
        (Code.HOME_LOCKED, Exit.STORAGE),
        (Code.STORE_CORRUPT, Exit.STORAGE),
        (Code.AUDIT_FAILED, Exit.REFUSED),
    ],
)
def test_numbers_become_exit_codes(code: Code, want: Exit) -> None:
    assert exit_code(LocalError(code, "x")) is want


def test_error_line_has_number_sentence_and_what_to_do() -> None:
    line = error_line(Rejected(Code.ASSET_ALREADY_PLEDGED, "the asset is\nalready pledged"))
    assert line == (
        "error E2303: the asset is already pledged (nothing was lent on it; choose another asset)"
    )


def test_rule_author_sees_line_and_column() -> None:
    error = RuleSourceError(Code.RULE_UNIT, "fen beside count", 12, 7)
    assert error_line(error) == "error E3003: line 12, column 7: fen beside count"


@pytest.mark.parametrize(
    ("raised", "want", "text"),
    [
        (StorageError(Code.DISK_FULL, "no space"), Exit.STORAGE, "error E6003: no space"),
        (Refused(Code.BUSY, "full"), Exit.NETWORK, "error E5101: full"),
        (OSError(28, "No space left", "/x"), Exit.STORAGE, "error E6003: cannot use /x: No space"),
        (PermissionError(13, "denied", "/x"), Exit.REFUSED, "error E8001: cannot use /x: denied"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted"),
        (click.Abort(), Exit.INTERRUPTED, "interrupted"),
    ],
)
def test_root_turns_what_is_raised_into_a_line(
    raised: BaseException, want: Exit, text: str
) -> None:
    @click.group(cls=LazyGroup, lazy={}, invoke_without_command=True)
    def root() -> None:
        raise raised

    result = CliRunner().invoke(root, [])
    assert result.exit_code == want
    assert result.stderr.strip().startswith(text)
