"""Four real nodes: records go in, a loan is granted, the primary dies, an auditor agrees.

One network serves all tests of this module, in their order: each goes on where the last one was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from commands.local.network_file import FILE_NAME, load_network
from commands.local.processes import stop
from commands.session import CLIENTS, only_node
from network.client import Profile, SyncClient
from network.methods import WatchStream
from tests.end_to_end.province import PATIENT
from tests.ports import claim_ports

REGISTRAR = "D01"


class Desk:
    """Types commands at one network."""

    def __init__(self, net: Path) -> None:
        self.net = net
        self.clients: dict[str, SyncClient] = {}

    def try_run(self, *arguments: object) -> Result:
        """Run a command, whatever it comes to, once all nodes have what the last one did.

        Commands of two members ask two nodes, and one of them may be a block behind.
        """
        self.settle()
        return CliRunner().invoke(cli, ["--net", str(self.net), *map(str, arguments)])

    def settle(self) -> None:
        """Wait until every node that runs has certified the last block of any of them."""
        if not (self.net / FILE_NAME).exists():
            return
        clients = [self.client(e.member) for e in load_network(self.net).nodes if e.is_running]
        last = max((client.head().certified_height for client in clients), default=0)
        for client in clients:
            items: tuple[Any, ...] = ()
            while last > 0 and not items:
                items, _ = client.watch(WatchStream.BLOCKS, last - 1, limit=1)

    def client(self, member: str) -> SyncClient:
        """Return a client of a member's node, which stays open."""
        if member not in self.clients:
            profile = only_node(Profile.load(self.net / CLIENTS / "D18"), member)
            self.clients[member] = SyncClient(profile, PATIENT).__enter__()
        return self.clients[member]

    def close(self) -> None:
        """Close the clients and stop what runs."""
        for client in self.clients.values():
            client.__exit__(None, None, None)
        stop([entry.process for entry in load_network(self.net).nodes if entry.is_running])

    def run(self, *arguments: object) -> str:
        """Run a command that must do its work; return what it printed."""
        result = self.try_run(*arguments)
        assert result.exit_code == Exit.OK, f"{arguments}: {result.output} {result.stderr}"
        return result.output

    def ask(self, *arguments: object) -> Any:
        """Return what a command says in JSON."""
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A network of four nodes with the demonstration's records in it."""
    net = tmp_path_factory.mktemp("e2e") / "net"
    desk = Desk(net)
    try:
        ports = ("--base-port", claim_ports())
        desk.run("devnet", "up", "--dir", net, "--nodes", "4", "--seed", "5", *ports)
        desk.run("devnet", "sample", "--seed", "5", "--companies", "12", "--out", net / "data")
        yield desk
    finally:
        desk.close()


@pytest.fixture(scope="module")
def plan(desk: Desk) -> dict[str, Any]:
    """Who applies for what."""
    loaded: dict[str, Any] = json.loads((desk.net / "data" / "plan.json").read_text())
    return loaded


def _find(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    assert match is not None, output
    return match[1]


def test_records_go_in_and_not_twice(desk: Desk, plan: dict[str, Any]) -> None:
    data = desk.net / "data"
    accepted = 0
    for item in plan["submissions"]:
        files = (data / item["file"], "--map", data / item["map"])
        accepted += desk.ask("submit", *files, "--as", item["member"])["accepted"]
    assert accepted == plan["records"]
    first = plan["submissions"][0]
    whole = (data / first["file"], "--map", data / first["map"], "--as", first["member"])
    assert desk.ask("submit", *whole)["resumed"] == first["records"]
    again = desk.ask("submit", *whole, "--progress-file", desk.net / "other.progress")
    assert len(again["duplicates"]) == first["records"]
    assert again["accepted"] == 0


def test_bad_line_stops_everything_or_itself(desk: Desk, plan: dict[str, Any]) -> None:
    data = desk.net / "data"
    source, mapping = data / "D02" / "C047.csv", data / "D02" / "C047.toml"
    lines = source.read_text().splitlines()
    bad = data / "bad.csv"
    bad.write_text("\n".join([lines[0], lines[1], lines[2].replace(",2018,", ",soon,")]) + "\n")
    refused = desk.try_run("submit", bad, "--map", mapping, "--as", "D02")
    assert refused.exit_code == Exit.REFUSED
    assert re.search(r"error E8002: .*line 3.*nothing was submitted", refused.stderr)
    skipped = desk.try_run("submit", bad, "--map", mapping, "--as", "D02", "--on-error", "skip")
    assert skipped.exit_code == Exit.REFUSED
    assert "line 3" in skipped.stderr
    assert re.search(r"duplicates +1: lines 2\n", skipped.output)


def test_category_of_another_owner_is_rejected_with_lines(desk: Desk) -> None:
    data = desk.net / "data" / "D02"
    result = desk.try_run(
        *("submit", data / "C047.csv", "--map", data / "C047.toml", "--as", "D20"),
        *("--progress-file", desk.net / "third.progress"),
    )
    assert result.exit_code == Exit.REFUSED
    assert re.search(r"error E2102: lines 2 to \d+ rejected", result.stderr)


def test_loan_is_granted_by_rule_and_proved_by_a_receipt(desk: Desk, plan: dict[str, Any]) -> None:
    case = next(item for item in plan["applications"] if item["case"] == "trade")
    company, lender = case["company"], case["lender"]
    product = next(path for path in plan["products"] if path.endswith("trade.toml"))
    desk.run("product", "register", product, "--as", lender)
    terms = (company, case["product"], "--amount", case["amount"], "--days", case["term_days"])
    desk.run("keys", "new", "company", company, "--via", REGISTRAR, "--no-password")
    stranger = desk.try_run("loan", "apply", *terms, "--as", company)
    assert "error E2003" in stranger.stderr
    desk.run("company", "bind", company, "--name", case["name"], "--as", REGISTRAR)
    wish = (company, "--ask", case["amount"], "--term", case["term_days"])
    (offer,) = desk.ask("match", *wish)["eligible"]
    assert offer["product"].partition("/")[0] == case["product"].partition("/")[0]
    assert offer["lender"] == lender
    assert "error E2006" in desk.try_run("match", *wish, "--as", lender).stderr
    refused = desk.try_run("loan", "apply", *terms, "--as", company)
    assert refused.exit_code == Exit.REFUSED
    assert "error E2211" in refused.stderr
    categories = ",".join(case["categories"])
    terms_of_consent = ("--categories", categories, "--product", case["product"])
    desk.run("consent", "grant", company, lender, *terms_of_consent, "--as", company)
    output = desk.run("loan", "apply", *terms, "--as", company)
    assert _find(r"decision +(\w+)", output) == "GRANT"
    assert _find(r"amount +([0-9,.]+) of", output) == "500,000.00"
    application = _find(r"application +([0-9a-f]{64})", output)
    receipt = desk.net / "loan.receipt"
    desk.run("receipt", application, "--out", receipt)
    shown = desk.run("verify", receipt)
    assert shown.startswith("VALID\n")
    assert application in shown
    _check_altered_receipt(desk, receipt)


def _check_altered_receipt(desk: Desk, receipt: Path) -> None:
    data = bytearray(receipt.read_bytes())
    data[len(data) // 2] ^= 1
    altered = receipt.with_name("altered.receipt")
    altered.write_bytes(data)
    result = desk.try_run("verify", altered)
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.startswith("error E1")


def test_what_the_rules_document_tells_an_officer_to_type_works(desk: Desk) -> None:
    """The commands of docs/RULES.md that need a network, on the files of the document."""
    text = (Path(__file__).parents[2] / "docs/RULES.md").read_text("utf-8")
    for name, source in re.findall(r"^```toml (\S+)\n(.*?)^```$", text, re.M | re.S):
        (desk.net / name).write_text(source, "utf-8")
    commands = re.findall(r"^\$ creditledger (.*)$", text, re.M)
    typed = [line.split() for line in commands if "--trust" not in line]
    assert ["product", "register", "receivable.toml", "--as", "icbc-gd"] in typed
    for words in typed:
        named = [desk.net / word if word.endswith(".toml") else word for word in words]
        assert desk.run(*named)


def test_killed_primary_loses_nothing_and_comes_back(desk: Desk, plan: dict[str, Any]) -> None:
    primary = desk.ask("status")[0]["primary"]
    # Through a member whose own node is not the one that dies.
    member, file = next(
        item for item in (("D02", "D02/cliff"), ("D01", "D01/C001")) if item[0] != primary
    )
    data = desk.net / "data"
    ids = desk.net / "ids"
    desk.run("devnet", "kill", primary)
    files = (data / f"{file}.csv", "--map", data / f"{file}.toml", "--as", member)
    desk.run(
        *("submit", *files, "--ids", ids, "--batch", "4", "--progress-file", desk.net / "p4"),
        *("--receipts", desk.net / "receipts"),
    )
    assert len(list((desk.net / "receipts").glob("*.receipt"))) == ids.read_text().count("\n")
    desk.run("tx", "status", "--file", ids)
    nodes = {node["member"]: node for node in desk.ask("status")}
    assert "error" in nodes[primary]
    assert max(node.get("view", 0) for node in nodes.values()) > 0
    assert desk.try_run("devnet", "status").exit_code == Exit.NOT_FOUND
    desk.run("devnet", "restart", primary)
    assert desk.try_run("devnet", "status").exit_code == Exit.OK
    desk.run("tx", "status", "--file", ids)


def test_unknown_transaction_is_not_found(desk: Desk) -> None:
    result = desk.try_run("tx", "status", "ab" * 32)
    assert result.exit_code == Exit.NOT_FOUND
    assert "unknown" in result.output


def test_copy_of_a_running_node_is_valid_and_a_rewritten_one_is_not(desk: Desk) -> None:
    home = load_network(desk.net).node("icbc-gd").home
    copy, note = desk.net / "copy", desk.net / "note.json"
    desk.run("backup", "--home", home, "--out", copy)
    output = desk.run("audit", copy, "--trust", desk.net / "genesis.bin")
    assert output.startswith("VALID\n")
    desk.run("devnet", "tamper", "--home", copy, "--seed", "5", "--note", note)
    result = desk.try_run("audit", copy, "--trust", desk.net / "genesis.bin")
    assert result.exit_code == Exit.REFUSED
    done = json.loads(note.read_text())
    assert f"block {done['height']}, transaction {done['position']}, " in result.output


def test_a_rule_is_tried_on_the_past_and_adopted_by_vote(desk: Desk) -> None:
    source = desk.run("rule", "show", "alert", "EW05/1").replace("version = 1", "version = 2", 1)
    path, past = desk.net / "ew05.toml", desk.net / "past"
    path.write_text(source)
    desk.run("backup", "--home", load_network(desk.net).node("D18").home, "--out", past)
    tried = desk.ask("rule", "what-if", path, "--home", past)
    assert tried["applications"] >= 1
    assert {(old, new) for old, new, _ in tried["counts"]["alert"]} <= {("RAISED", "RAISED")}
    proposed = desk.ask("rule", "propose", path, "--as", "D18")["result"]["proposal"]
    for voter in (REGISTRAR, "D02"):  # by its id: a node that was down may not know the number yet
        desk.run("rule", "approve", proposed, "--as", voter)
    listed = desk.ask("rule", "list", "--as", "D18")["rules"]
    states = {item["ref"]: item["state"] for item in listed}
    assert (states["EW05/1"], states["EW05/2"]) == ("in force", "later")
    assert "active" in desk.run("rule", "proposal", proposed, "--as", "D18")


def test_network_stops(desk: Desk) -> None:
    assert desk.run("devnet", "down") == "4 nodes stopped\n"
    refused = desk.try_run("devnet", "up", "--dir", desk.net, "--seed", "6")
    assert refused.exit_code == Exit.USAGE, refused.output
    assert "--seed is for a new one" in refused.stderr
    assert desk.run("devnet", "up", "--dir", desk.net, "--start", "2").count(" up ") == 2
    assert desk.run("devnet", "down") == "2 nodes stopped\n"
    result = desk.try_run("member", "list")
    assert result.exit_code == Exit.NETWORK
    assert "error E5007" in result.stderr
