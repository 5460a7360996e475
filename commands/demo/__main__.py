"""`python -m commands.demo`: the demonstration, from an empty folder to a summary."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from time import monotonic
from types import FrameType

import click

from commands.console import show_table
from commands.demo import faults, lending
from commands.demo.stage import Stage, StepFailed, find
from commands.local.network_file import FILE_NAME, load_network
from commands.local.processes import stop
from ledger.errors import CreditLedgerError

COMPANIES = 250
LOAD_COMPANIES = 200


@click.command("demo")
@click.option("--seed", default=1, show_default=True, help="Every made-up thing follows from it.")
@click.option("--nodes", default=7, show_default=True, help="How many members run a node: 4 to 7.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path(".demo"))
@click.option("--keep", is_flag=True, help="Leave the network running at the end.")
def main(seed: int, nodes: int, folder: Path, keep: bool) -> None:
    """Show the main job end to end: real processes, sockets, disks."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stage = Stage(folder.absolute())
    is_well = False
    try:
        _clear(stage.net)
        _play(stage, seed, nodes)
        is_well = True
    except StepFailed as error:
        _say_failed(stage, str(error))
    except CreditLedgerError as error:
        _say_failed(stage, str(error))
    except KeyboardInterrupt:
        _say_failed(stage, "interrupted")
    finally:
        if not (keep and is_well):
            _stop_all(stage.net)
    if keep and is_well:
        _say_how_to_talk(stage.net)
    sys.exit(0 if is_well else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _clear(net: Path) -> None:
    """Remove an earlier run's folder; another one is not touched."""
    if not net.exists() or not any(net.iterdir()):
        return
    if not (net / FILE_NAME).exists():
        raise StepFailed(f"{net} is not empty and no earlier run: name another with --dir")
    _stop_all(net)
    shutil.rmtree(net)


def _stop_all(net: Path) -> None:
    if (net / FILE_NAME).exists():
        stop([entry.process for entry in load_network(net).nodes if entry.is_running])


def _play(stage: Stage, seed: int, nodes: int) -> None:
    stage.say(f"creditledger demonstration: seed {seed}, {nodes} nodes, {stage.net}")
    stage.say(f"$ export CREDITLEDGER_NET={stage.net}")
    with stage.part(1, "a consortium: keys, certificates, genesis, nodes"):
        _start_network(stage, seed, nodes)
    data = stage.net / "data"
    with stage.part(2, "departments submit records of made-up companies"):
        _submit_records(stage, seed, data)
    plan = json.loads((data / "plan.json").read_text())
    with stage.part(3, "banks register products, companies authorise and apply"):
        lending.register_products(stage, plan)
        lending.apply_for_loans(stage, plan)
    with stage.part(4, "records that fall off a cliff raise an alert"):
        lending.raise_alert(stage, plan, data)
    with stage.part(5, "the primary is killed under load"):
        faults.kill_primary(stage, _loads(stage, seed))
    network = load_network(stage.net)
    with stage.part(6, "an auditor replays one node's data offline"):
        faults.audit_copies(stage, Path(network.nodes[-1].home), seed)
    with stage.part(7, "summary"):
        stage.note("the whole demonstration", f"{monotonic() - stage.started:.0f} s")
        show_table("", ["what", "figure"], [list(row) for row in stage.figures])


def _start_network(stage: Stage, seed: int, nodes: int) -> None:
    began = monotonic()
    arguments = ("--dir", stage.net, "--nodes", str(nodes), "--seed", str(seed))
    stage.run("devnet", "up", *arguments)
    stage.note("network of real processes up", f"{nodes} nodes in {monotonic() - began:.1f} s")
    stage.run("genesis", "show", stage.net / "genesis.bin")
    stage.run("member", "list")
    stage.run("status")


def _submit_records(stage: Stage, seed: int, data: Path) -> None:
    arguments = ("--seed", str(seed), "--companies", str(COMPANIES), "--out", data)
    stage.run("devnet", "sample", *arguments)
    plan = json.loads((data / "plan.json").read_text())
    began = monotonic()
    for item in plan["submissions"]:
        files = (data / item["file"], "--map", data / item["map"])
        output = stage.run("submit", *files, "--as", item["member"])
        find(r"transactions +([1-9][0-9,]*)", output)
    seconds = monotonic() - began
    stage.note(
        "signed records of made-up companies",
        f"{plan['records']:,} of {len(plan['companies'])} companies in {seconds:.1f} s",
    )


def _loads(stage: Stage, seed: int) -> list[tuple[str, Path, Path]]:
    """Make more records, to be sent one by one, of two members: one of them is not the primary."""
    data = stage.net / "load"
    arguments = ("--seed", str(seed + 1), "--companies", str(LOAD_COMPANIES), "--out", data)
    stage.run("devnet", "sample", *arguments, quiet=True)
    return [
        ("D20", data / "D20" / "C183.csv", data / "D20" / "C183.toml"),
        ("D02", data / "D02" / "C040.csv", data / "D02" / "C040.toml"),
    ]


def _say_failed(stage: Stage, text: str) -> None:
    click.echo(f"\nfailed in {stage.step or 'the beginning'}: {text}", err=True)
    click.echo(f"logs of the nodes: {stage.net}/nodes/*/log", err=True)


def _say_how_to_talk(net: Path) -> None:
    click.echo(f"\nThe network runs. Talk to it:\n  export CREDITLEDGER_NET={net}")
    click.echo(f"  export PATH={Path(sys.executable).parent}:$PATH")
    click.echo("  creditledger status\n  creditledger alerts list --as D18")
    click.echo("Stop it:\n  creditledger devnet down")


if __name__ == "__main__":
    main()
