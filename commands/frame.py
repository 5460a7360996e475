"""What every command has: an example in its help, one-line errors, and an exit code that means it.

`Command` cannot be made without an example, so help without one does not exist. `LazyGroup` knows
its commands by module name and a summary, and imports a module only when its command is run, so
that `creditledger --help` starts in a fraction of a second. `exit_code` maps the stable numbers of
`ledger.errors` to the few codes a script acts on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

import click

from ledger.errors import Code, CreditLedgerError, LocalError, RuleSourceError
from ledger.storage.files import DISK_FULL_ERRNOS

F = TypeVar("F", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes of every command; printed by `creditledger --help`."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    NETWORK = 4
    STORAGE = 5
    INTERRUPTED = 130


EXIT_TEXTS: Mapping[Exit, str] = {
    Exit.OK: "done",
    Exit.REFUSED: "refused, rejected by a rule, or found invalid",
    Exit.USAGE: "the command line is wrong",
    Exit.NOT_FOUND: "not there, or not yet (a transaction that still waits)",
    Exit.NETWORK: "no node answers, a node is busy, or the time ran out",
    Exit.STORAGE: "the disk, the database or the home cannot be used",
    Exit.INTERRUPTED: "stopped from the keyboard",
}

_NOT_FOUND = frozenset(
    {
        Code.NOT_FOUND,
        Code.MEMBER_UNKNOWN,
        Code.PROPOSAL_UNKNOWN,
        Code.COMPANY_UNKNOWN,
        Code.CONSENT_UNKNOWN,
        Code.ASSET_UNKNOWN,
        Code.PRODUCT_UNKNOWN,
        Code.APPLICATION_UNKNOWN,
        Code.LOAN_UNKNOWN,
        Code.ALERT_UNKNOWN,
        Code.SCORECARD_UNKNOWN,
        Code.SCHEMA_UNKNOWN,
    }
)


# What to do about an error, where its text alone does not say it.
_HINTS: Mapping[Code, str] = {
    Code.CONNECT_FAILED: "is the node up? see: creditledger devnet status",
    Code.TLS_REFUSED: "has a member's key rotated? creditledger member trust takes the new one",
    Code.TIMED_OUT: "see what the node waits for: creditledger status",
    Code.BUSY: "try again in a moment, or through another node",
    Code.NOT_SYNCED: "the node is catching up; ask another, or wait",
    Code.PORT_IN_USE: "stop what listens there, or choose another port",
    Code.DISK_FULL: "free some space, then start the node again",
    Code.SENDER_UNKNOWN: "a company's key is bound first: creditledger company bind",
    Code.PROPOSAL_UNKNOWN: "see: creditledger member list --all",
    Code.CONSENT_MISSING: "the company grants it: creditledger consent grant",
    Code.CONSENT_DAYS: "the company grants one that does: creditledger consent grant --product",
    Code.DELETION_OVERDUE: "tell that it is deleted: creditledger consent deleted",
    Code.COMPANY_UNKNOWN: "no record names this company yet",
    Code.CATEGORY_NOT_OWNED: "only the owner of a category may submit to it",
    Code.SCHEMA_UNKNOWN: "see: creditledger rule list",
    Code.SCORECARD_UNKNOWN: "see: creditledger rule list",
    Code.ASSET_ALREADY_PLEDGED: "nothing was lent on it; choose another asset",
    Code.TX_EXPIRED_AT_DOOR: "sign it anew with a later expiry",
    Code.USCC_CHECK_DIGIT: "check the code against the licence",
}


def exit_code(error: CreditLedgerError) -> Exit:
    """Return the exit code that stands for a numbered error."""
    if error.code in _NOT_FOUND:
        return Exit.NOT_FOUND
    if error.code is Code.INPUT_USAGE:
        return Exit.USAGE
    if 5000 <= error.code < 6000:
        return Exit.NETWORK
    if 6000 <= error.code < 7000:
        return Exit.STORAGE
    return Exit.REFUSED


def error_line(error: CreditLedgerError) -> str:
    """Return `error E2311: what was wrong (what to do)`, on one line."""
    text = error.message
    if isinstance(error, RuleSourceError):
        text = f"line {error.line}, column {error.column}: {text}"
    hint = _HINTS.get(error.code)
    line = f"error E{int(error.code)}: {text}" + (f" ({hint})" if hint else "")
    return " ".join(line.split())


class Command(click.Command):
    """A click command that shows an example below its options."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example as it is typed."""
        with formatter.section("Example"):
            for line in self.example.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """A noun; its commands are `Command`s."""

    command_class = Command


class LazyGroup(click.Group):
    """The root: name → (module, summary); each module has its click object as `command`."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which they were listed."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command and return it."""
        if cmd_name not in self._lazy:
            return None
        module = importlib.import_module(self._lazy[cmd_name][0])
        name = "command" if hasattr(module, "command") else cmd_name
        found: click.Command = getattr(module, name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the summaries without importing anything, and the exit codes."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._lazy.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in EXIT_TEXTS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line; errors become one line on stderr and an exit code."""
        kwargs["standalone_mode"] = False
        kwargs["prog_name"] = "creditledger"
        try:
            code = super().main(*args, **kwargs)
        except click.exceptions.Exit as error:
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = Exit.INTERRUPTED
        except click.ClickException as error:
            code = _report_usage(error)
        except CreditLedgerError as error:
            click.echo(error_line(error), err=True)
            code = exit_code(error)
        except BrokenPipeError:
            # The reader went away (`| head`): nothing is wrong, and nothing more can be said.
            sys.stderr.close()
            code = Exit.OK
        except OSError as error:
            code = _report_system(error)
        sys.exit(int(code) if isinstance(code, int) else 0)


def _report_system(error: OSError) -> int:
    """Tell of a file or a disk that nobody below has named."""
    is_full = error.errno in DISK_FULL_ERRNOS
    code = Code.DISK_FULL if is_full else Code.INPUT_FILE
    named = f"cannot use {error.filename}: " if error.filename else ""
    local = LocalError(code, f"{named}{error.strerror or error}")
    click.echo(error_line(local), err=True)
    return exit_code(local)


def _report_usage(error: click.ClickException) -> int:
    where = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        where = f" (see: {error.ctx.command_path} --help)"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    click.echo(f"error E{int(Code.INPUT_USAGE)}: {error.format_message()}{where}", err=True)
    return Exit.USAGE


def json_option(function: F) -> F:
    """Add `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")(
        function
    )


def identity_option(function: F) -> F:
    """Add `--as ID`, passed as `identity`: whose profile signs and asks."""
    return click.option(
        "--as",
        "identity",
        metavar="ID",
        envvar="CREDITLEDGER_AS",
        required=True,
        help="Act as this member or company: its profile in NET/clients/ID.",
    )(function)


def reader_option(function: F) -> F:
    """Add an optional `--as ID`, passed as `identity`: for questions that anyone may ask."""
    return click.option(
        "--as", "identity", metavar="ID", envvar="CREDITLEDGER_AS", help="Whose profile asks."
    )(function)


def fail(code: Exit) -> None:
    """Leave the command with `code`; what was wrong has been printed."""
    raise click.exceptions.Exit(int(code))
