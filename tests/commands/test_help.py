"""Every command is documented, and `--help` costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from commands.cli import cli
from commands.frame import EXIT_TEXTS, Command, Exit


def _walk(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from _walk(found, (*path, name))
        else:
            yield (*path, name), found


COMMANDS = dict(_walk(cli, ("creditledger",)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert isinstance(command, Command)
    assert command.example.startswith(" ".join(path))
    result = CliRunner().invoke(cli, [*path[1:], "--help"])
    assert result.exit_code == Exit.OK
    assert "Example:" in result.output
    assert command.example.splitlines()[0].strip() in result.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_says_what_it_is(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, parameter.name


def test_examples_parse() -> None:
    """What an example types is what the command takes: names of options and their number."""
    for path, command in COMMANDS.items():
        assert isinstance(command, Command)
        words = command.example.splitlines()[0].split(" && ")[0].split()
        arguments = [word for word in words[len(path) :] if word.startswith("--")]
        known = {name for item in command.params for name in item.opts}
        assert set(arguments) <= known, path


def test_root_help_names_every_command_and_exit_code() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for path in COMMANDS:
        assert f"  {path[1]} " in output
    for text in EXIT_TEXTS.values():
        assert text in output


def test_help_imports_no_noun() -> None:
    program = (
        "import sys\n"
        "from commands.cli import cli\n"
        "try:\n    cli(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'trio', 'rich', 'cryptography', 'nacl', 'plyvel', 'commands.session'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
