"""Four real nodes write what they receive and say; the model judges every vote (rules 1 to 44)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from commands.local import local_network
from commands.local.processes import send_signal
from ledger.membership.genesis import parse_genesis
from network.runtime.settings import CONFIG_FILE
from tests.end_to_end.province import BASE_PORT, MEMBERS, Province
from tests.reference.files import read_trace
from tests.reference.main import main
from tests.reference.model import BreachError, Reference

TRACE = "trace.jsonl"


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Province:
    """A network that ran with traces: its primary was killed and came back; it is stopped now."""
    net = tmp_path_factory.mktemp("traced") / "net"
    network = local_network.make(
        net,
        consortium=local_network.DEMO_CONSORTIUM,
        nodes=4,
        seed=23,
        as_of=None,
        base_port=BASE_PORT,
    )
    for entry in network.nodes:
        config = Path(entry.home) / CONFIG_FILE
        text = config.read_text(encoding="utf-8")
        config.write_text(f'trace = "{TRACE}"\n{text}', encoding="utf-8")
    province = Province(net, parse_genesis((net / "genesis.bin").read_bytes()))
    try:
        local_network.start(network, MEMBERS)
        for _ in range(5):
            province.send("D01", "company.bind", province.new_company()[2])
        primary = province.genesis.validators[0]
        assert send_signal(province.network.node(primary).process, signal.SIGKILL, 120)
        for client in list(province.clients.values()):
            client.__exit__(None, None, None)
        province.clients.clear()
        other = next(member for member in MEMBERS if member != primary)
        province.client("D01", other).submit_kind("company.bind", province.new_company()[2])
        province.restart(primary)
        province.check_well()
    finally:
        province.stop()
    return province


def test_real_processes_keep_to_the_model(province: Province) -> None:
    chain_id = province.genesis.chain_id
    reference = Reference()
    for member in MEMBERS:
        reference.check(read_trace(province.home(member) / TRACE, member, chain_id))
    assert reference.votes > 40
    # The primary was killed; a slow machine may have changed the view more often.
    assert all(max(node.epochs[0].entered) >= 1 for node in reference.nodes.values())


def test_a_changed_trace_of_a_real_process_is_a_breach(province: Province) -> None:
    path = province.home(MEMBERS[0]) / TRACE
    lines = list(read_trace(path, MEMBERS[0], province.genesis.chain_id))
    records = [place for place, line in enumerate(lines) if line[1] == "persisted"]
    for place in records[:6]:
        with pytest.raises(BreachError):
            Reference().check(lines[:place] + lines[place + 1 :])


def test_the_command_judges_traces(province: Province, capsys: pytest.CaptureFixture[str]) -> None:
    path = province.home(MEMBERS[0]) / TRACE
    assert main(["--trace", str(path), "--chain", province.genesis.chain_id.hex()]) == 0
    assert "messages judged" in capsys.readouterr().out
