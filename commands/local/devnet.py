"""`creditledger devnet`: a local network of real processes, for trying out and for tests.

Every member has a key and a profile; the first N of the consortium file's `[local]` order run a
node each, on 127.0.0.1. Keys made from a seed are for such networks only.
"""

from __future__ import annotations

import signal
from datetime import date
from pathlib import Path

import click
from click.core import ParameterSource

from commands.console import say, show_json, show_table
from commands.frame import Exit, Group, fail, json_option
from commands.local import local_network
from commands.local.network_file import FILE_NAME, LocalNetwork, load_network
from commands.local.processes import send_signal, stop
from commands.session import net_of
from commands.values import DAY, day
from ledger.errors import Code, LocalError

_PATH = click.Path(path_type=Path)


@click.group("devnet", cls=Group)
def command() -> None:
    """A local network of real processes on this machine."""


@command.command("up", example="creditledger devnet up --dir .devnet --nodes 4")
@click.option("--dir", "folder", type=_PATH, help="Its folder (default: --net, else .devnet).")
@click.option("--nodes", default=4, show_default=True, help="How many members run a node.")
@click.option("--start", type=click.IntRange(1), help="Start only so many of the nodes.")
@click.option("--seed", type=int, help="Make the keys from a seed, to repeat a run.")
@click.option("--as-of", "as_of", type=DAY, help="The day the network lives in.")
@click.option("--consortium", type=_PATH, help="Consortium file (default: the demonstration's).")
@click.option("--base-port", default=17_000, show_default=True, help="Look for ports from here.")
@click.pass_context
def up(
    context: click.Context,
    folder: Path | None,
    nodes: int,
    start: int | None,
    seed: int | None,
    as_of: int | None,
    consortium: Path | None,
    base_port: int,
) -> None:
    """Make keys, certificates, genesis and homes, start the nodes, and wait until all answer.

    A network that is there already is started again, as far as its nodes do not run.
    """
    net = folder or context.find_root().obj or Path(".devnet")
    if (net / FILE_NAME).exists():
        _start_again(context, net, start)
        return
    network = local_network.make(
        net,
        consortium=consortium or local_network.DEMO_CONSORTIUM,
        nodes=nodes,
        seed=seed,
        as_of=None if as_of is None else date.fromisoformat(day(as_of)),
        base_port=base_port,
    )
    say(f"chain {network.chain_id}")
    network = local_network.start(network, [entry.member for entry in network.nodes[:start]])
    _show(network)


def _start_again(context: click.Context, net: Path, start: int | None) -> None:
    """Start what does not run of a network; raise `LocalError` (8004) where it should be another.

    What an option would have made is in the folder already.
    """
    for name in ("nodes", "seed", "as_of", "consortium", "base_port"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise LocalError(
                Code.INPUT_USAGE,
                f"{net} has a network, --{name.replace('_', '-')} is for a new one: "
                "name another folder, or leave the option out to start this one again",
            )
    network = load_network(net)
    idle = [entry.member for entry in network.nodes[:start] if not entry.is_running]
    _show(local_network.start(network, idle))


@command.command("down", example="creditledger devnet down")
@click.pass_context
def down(context: click.Context) -> None:
    """Stop every node of the network; its folder stays."""
    network = load_network(net_of(context))
    running = [entry.process for entry in network.nodes if entry.is_running]
    stop(running)
    say(f"{len(running)} nodes stopped")


@command.command("status", example="creditledger devnet status")
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show which nodes run, and where; exit code 3 if one does not."""
    network = load_network(net_of(context))
    if as_json:
        show_json([_row(network, index) for index in range(len(network.nodes))])
    else:
        _show(network)
    if not all(entry.is_running for entry in network.nodes):
        fail(Exit.NOT_FOUND)


@command.command("kill", example="creditledger devnet kill D02")
@click.argument("member")
@click.pass_context
def kill(context: click.Context, member: str) -> None:
    """Kill the node of MEMBER with SIGKILL, as a power cut would."""
    entry = load_network(net_of(context)).node(member)
    if not entry.is_running:
        raise LocalError(Code.INPUT_USAGE, f"the node of {member} does not run")
    send_signal(entry.process, signal.SIGKILL, 10)
    say(f"node of {member} killed (process {entry.pid})")


@command.command("restart", example="creditledger devnet restart D02")
@click.argument("member")
@click.pass_context
def restart(context: click.Context, member: str) -> None:
    """Start the node of MEMBER again on its home, stopping it first if it runs."""
    network = load_network(net_of(context))
    entry = network.node(member)
    if entry.is_running:
        stop([entry.process])
    network = local_network.start(network, [member])
    say(f"node of {member} runs (process {network.node(member).pid})")


@command.command("sample", example="creditledger devnet sample --seed 7 --out data/")
@click.option("--seed", type=int, required=True, help="Every company and record follows from it.")
@click.option("--companies", default=250, show_default=True, help="How many companies.")
@click.option("--as-of", "as_of", type=DAY, help="The day (default: the network's).")
@click.option("--out", type=_PATH, required=True, help="Folder for the files.")
@click.pass_context
def sample(context: click.Context, seed: int, companies: int, as_of: int | None, out: Path) -> None:
    """Make records of made-up companies, as files ready for `submit`, with their mappings."""
    from genesis.synthetic import write_data

    text = day(as_of) if as_of is not None else load_network(net_of(context)).as_of
    plan = write_data(out, seed, companies, date.fromisoformat(text))
    rows = [[i["member"], i["kind"], f"{i['records']:,}", i["file"]] for i in plan["submissions"]]
    show_table("", ["member", "what", "lines", "file"], rows)
    say(f"{plan['records']:,} records of {len(plan['companies'])} companies in {out}")


@command.command(
    "tamper",
    hidden=True,
    example="creditledger devnet tamper --home copy --seed 7 --note what.json",
)
@click.option("--home", type=_PATH, required=True, help="A copy of a home; it is changed.")
@click.option("--seed", type=int, required=True, help="Chooses the block and what is changed.")
@click.option("--note", type=_PATH, required=True, help="File that says what was changed.")
def tamper(home: Path, seed: int, note: Path) -> None:
    """Rewrite a stored block of a copy, with the database's checksums in order."""
    local_network.tamper(home, seed, note)


@command.command(
    "flip", hidden=True, example="creditledger devnet flip --home copy --seed 7 --note what.json"
)
@click.option("--home", type=_PATH, required=True, help="A copy of a home; it is changed.")
@click.option("--seed", type=int, required=True, help="Chooses the file and the byte.")
@click.option("--note", type=_PATH, required=True, help="File that says what was changed.")
def flip(home: Path, seed: int, note: Path) -> None:
    """Change one byte of one file of a copy's database."""
    local_network.flip(home, seed, note)


def _row(network: LocalNetwork, index: int) -> dict[str, object]:
    entry = network.nodes[index]
    return {
        "member": entry.member,
        "is_running": entry.is_running,
        "pid": entry.pid,
        "address": entry.address,
        "metrics": entry.metrics,
        "home": entry.home,
    }


def _show(network: LocalNetwork) -> None:
    rows = [
        [
            entry.member,
            "up" if entry.is_running else "down",
            str(entry.pid),
            entry.address,
            f"http://{entry.metrics}/metrics",
            entry.home,
        ]
        for entry in network.nodes
    ]
    title = f"{network.folder / FILE_NAME}: as of {network.as_of}"
    show_table(title, ["member", "node", "process", "address", "metrics", "home"], rows)
