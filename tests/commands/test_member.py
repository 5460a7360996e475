"""The member commands against a chain in memory: what is typed, what is signed, what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from commands import proposing
from commands.cli import cli
from commands.frame import Exit
from commands.members import member as member_commands
from commands.members import protocol as member_protocol
from commands.session import Outcome
from ledger.chain.epochs import Validators, decode_changes, follow_epochs
from ledger.membership import protocol
from ledger.membership.genesis import Genesis
from ledger.queries import QUERIES
from network.certificates import make_member_certificate, save_certificate, save_key
from network.methods import Head
from network.profile import load_anchors
from tests.audit.chain import GovernedChain
from tests.ledger.governance import WINDOW
from tests.ledger_harness import key_of

SEED = b"\x31" * 32


@dataclass
class FakeProfile:
    """What commands read of a profile."""

    chain_id: bytes
    validators: Validators
    member: str
    genesis: Genesis


class FakeSession:
    """A session on a chain in memory: every transaction is a block of its own."""

    def __init__(self, chain: GovernedChain, identity: str) -> None:
        self.chain, self.identity = chain, identity
        genesis = chain.genesis
        self.profile = FakeProfile(genesis.chain_id, genesis.validator_keys(), identity, genesis)

    @property
    def client(self) -> FakeSession:
        return self

    def head(self) -> Head:
        head = self.chain.head
        return Head(head.height, head.hash(), head.time_ms, head.time_ms, head.height)

    def query(self, name: str, **params: Any) -> Any:
        return QUERIES[name](self.chain.query_context("D02"), params)

    def send(
        self, kind: str, body: Mapping[str, Any], attachments: Sequence[bytes] = ()
    ) -> Outcome:
        transaction = self.chain.sign(self.identity, kind, body, attachments)
        code, data = self.chain.run(transaction)
        head = self.chain.head
        return Outcome(transaction.id, code, data, head.height, head.time_ms, 0.1)


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> GovernedChain:
    """A network of the seven members, which the commands reach."""
    chain = GovernedChain()

    @contextmanager
    def open_session(
        _context: click.Context, identity: str, via: str | None = None
    ) -> Iterator[FakeSession]:
        del via
        yield FakeSession(chain, identity)

    for module in (member_commands, member_protocol, proposing):
        monkeypatch.setattr(module, "open_session", open_session)
    monkeypatch.setattr(member_commands, "ask_head", lambda session, *_: session.head())
    for module in (member_commands, member_protocol):
        monkeypatch.setattr(module, "net_of", lambda _context: Path())
        monkeypatch.setattr(module, "any_identity", lambda _net: "D02")
    return chain


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with a new key and its certificate."""
    save_key(tmp_path / "new.key", SEED)
    certificate = make_member_certificate(SEED, "D30", datetime(2026, 1, 1, tzinfo=UTC))
    save_certificate(tmp_path / "new.crt", certificate)
    return tmp_path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["member", *[str(item) for item in arguments]])


def _done(*arguments: str | Path) -> str:
    result = _run(*arguments)
    assert result.exit_code == Exit.OK, result.output
    return result.output


def test_observer_is_proposed_approved_and_promoted(chain: GovernedChain, keys: Path) -> None:
    key = ("--key", keys / "new.key")
    output = _done(
        "propose", "add-observer", "ICBC", "--address", "icbc.test:1", *key, "--as", "D01"
    )
    assert "proposal 1: add_observer ICBC at icbc.test:1; 1 of 3 approvals" in output
    assert "creditledger member approve 1 --as MEMBER" in output
    assert "proposal 1: 2 of 3 approvals" in _done("approve", "1", "--as", "D02")
    assert "proposal 1 is decided, and active" in _done("approve", "1", "--as", "D20")
    assert "the node of ICBC has block 3" in _done("ready", "--as", "ICBC")
    _done("propose", "promote", "ICBC", "--note", "it is time", "--as", "D01")
    shown = _done("show", "2")
    assert "it is time" in shown
    assert "3 of 4" in shown
    _done("approve", "2", "--as", "D02")
    output = _done("approve", "2", "--as", "D18")
    active_from = chain.head.height + WINDOW + 1
    assert f"proposal 2 is decided: active from block {active_from}" in output
    listed = _done("list")
    assert f"proposal 2: promote ICBC is active from block {active_from}, in" in listed
    assert "then 5 validators" in listed
    chain.settle()
    assert "no open proposals" in _done("list")
    value = json.loads(_done("list", "--json", "--all"))
    assert value["epoch"]["epoch"] == 1
    standing = {item["id"]: item["standing"] for item in value["members"]}
    assert (standing["ICBC"], standing["PAB"]) == ("validator", "member")
    assert [item["state"] for item in value["proposals"]] == ["active", "active"]


def test_list_says_who_has_approved_and_who_has_not(chain: GovernedChain) -> None:
    _done("propose", "set-address", "D02", "--address", "d02.test:9", "--as", "D18")
    _done("approve", "1", "--as", "D01")
    row = next(line for line in _done("list").splitlines() if "set_address D02" in line)
    assert "2/3" in row
    assert "D01, D18" in row
    assert "D02, D20" in row
    assert chain.head.height == 2


def test_new_member_brings_key_and_certificate(chain: GovernedChain, keys: Path) -> None:
    _done(
        "propose", "add-member", "D30", "--name", "Water Bureau", "--role", "department",
        "--may", "counter", "--certificate", keys / "new.crt", "--key", keys / "new.key",
        "--as", "D01",
    )  # fmt: skip
    _done("approve", "1", "--as", "D02")
    _done("approve", "1", "--as", "D20")
    member = chain.member("D30")
    assert (member.name, sorted(member.capabilities)) == ("Water Bureau", ["counter"])


def test_keys_of_other_machines_are_proven_there(
    chain: GovernedChain, keys: Path, tmp_path: Path
) -> None:
    genesis = tmp_path / "genesis.bin"
    genesis.write_bytes(chain.genesis.data)
    printed = _done(
        "prove", "D02", "--role", "node", "--key", keys / "new.key", "--genesis", genesis
    )
    _done("propose", "rotate-node-key", "D02", *printed.split(), "--as", "D01")
    result = _run("propose", "rotate-node-key", "D20", *printed.split(), "--as", "D01")
    assert result.exit_code == Exit.REFUSED
    assert "E2606" in result.output
    certificate = ("--certificate", keys / "new.crt")
    _done("propose", "rotate-key", "D20", *certificate, "--key", keys / "new.key", "--as", "D01")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("propose", "demote", "D01", "--as", "D02"), Exit.REFUSED, "promote another member first"),
        (("propose", "remove", "D99", "--as", "D02"), Exit.NOT_FOUND, "no member D99"),
        (("approve", "7", "--as", "D02"), Exit.NOT_FOUND, "no proposal 7 (see: creditledger"),
        (("approve", "xyz", "--as", "D02"), Exit.USAGE, "want its number or its id"),
        (("show", "ab" * 32), Exit.NOT_FOUND, f"no proposal {'ab' * 32}"),
        (
            ("propose", "rotate-node-key", "D02", "--as", "D02"),
            Exit.USAGE,
            "want --key FILE, or --public-key and --proof",
        ),
        (
            ("propose", "rotate-node-key", "D02", "--public-key", "00", "--as", "D02"),
            Exit.USAGE,
            "want --key FILE, or --public-key and --proof",
        ),
        (
            (
                "propose",
                "rotate-node-key",
                "D02",
                "--public-key",
                "0",
                "--proof",
                "0",
                "--as",
                "D02",
            ),
            Exit.USAGE,
            "--public-key: want 64 hexadecimal digits",
        ),
        (
            ("propose", "set-address", "D02", "--address", "nowhere", "--as", "D02"),
            Exit.USAGE,
            "want host:port",
        ),
        (("ready", "--as", "PAB"), Exit.REFUSED, "PAB has no node: propose add-observer first"),
    ],
)
def test_errors_say_what_to_do(
    chain: GovernedChain, arguments: tuple[str, ...], exit_code: Exit, words: str
) -> None:
    assert chain.head.height == 0
    result = _run(*arguments)
    assert result.exit_code == exit_code, result.output
    assert words in result.output


def test_withdrawn_by_its_proposer_alone(chain: GovernedChain) -> None:
    _done("propose", "set-address", "D02", "--address", "d02.test:9", "--as", "D18")
    assert _run("withdraw", "1", "--as", "D01").exit_code == Exit.REFUSED
    assert "proposal 1 is withdrawn" in _done("withdraw", "1", "--as", "D18")
    assert "is withdrawn, want open" in _run("approve", "1", "--as", "D01").output
    assert chain.names() == ["D01", "D02", "D20", "D18"]


def test_certificates_of_the_members_are_taken_proven(
    chain: GovernedChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_commands, "now_ms", lambda: chain.head.time_ms)
    monkeypatch.setattr(member_commands, "profile_folder", lambda *_: tmp_path)
    chain.decide("D01", "rotate_key", "D02", key="D02.2")
    assert "7 members proven" in _done("trust", "--as", "D18")
    anchors = load_anchors(tmp_path, chain.genesis.chain_id)
    assert anchors["D02"] == (chain.member("D02").certificate,)
    assert len(anchors) == 7


def test_epochs_are_verified_and_written_for_work_offline(
    chain: GovernedChain, tmp_path: Path
) -> None:
    chain.observe("ICBC")
    chain.decide("D01", "promote", "ICBC")
    chain.settle()
    chain.block()
    assert "ICBC" in _done("epochs")
    file = tmp_path / "epochs.bin"
    assert str(file) in _done("epochs", "--out", file)
    chain_id, changes = decode_changes(file.read_bytes())
    assert chain_id == chain.genesis.chain_id
    epoch, validators = follow_epochs(chain_id, chain.genesis.validator_keys(), changes)
    assert epoch == 1
    assert validators[-1] == ("ICBC", key_of("node:ICBC").public_key)
    assert json.loads(_done("epochs", "--json"))[1]["validators"][-1] == "ICBC"


def test_f50_next_protocol_is_approved_and_shown(
    chain: GovernedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL", 2)
    shown = _done("protocol", "show")
    assert "in force     protocol 1" in shown
    assert "approved by  nobody yet" in shown
    assert "protocol 2: 1 of 3 approvals" in _done("protocol", "approve", "2", "--as", "D01")
    assert "protocol 2: 2 of 3 approvals" in _done("protocol", "approve", "2", "--as", "D02")
    assert "not by       D20, D18" in _done("protocol", "show")
    active_from = chain.head.height + 1 + WINDOW + 1
    decided = _done("protocol", "approve", "2", "--as", "D18")
    assert f"protocol 2 is decided: in force from block {active_from}" in decided
    value = json.loads(_done("protocol", "show", "--json"))
    assert (value["number"], value["next"], value["active_from"]) == (1, 2, active_from)
    assert (value["approved"], value["needed"]) == ([], 3)


def test_f50_no_approval_is_sent_that_the_node_itself_could_not_follow(
    chain: GovernedChain,
) -> None:
    refused = _run("protocol", "approve", "2", "--as", "D01")
    assert refused.exit_code == Exit.REFUSED
    assert "E7004: the node knows protocols up to 1, not 2" in refused.output
    assert chain.head.height == 0


def test_f50_only_a_validators_member_approves_and_only_the_next_number(
    chain: GovernedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL", 3)
    assert "E2006" in _run("protocol", "approve", "2", "--as", "ICBC").output
    refused = _run("protocol", "approve", "3", "--as", "D01")
    assert refused.exit_code == Exit.REFUSED
    assert "got 3, want 2, the next one" in refused.output
    assert _run("protocol", "approve", "1", "--as", "D01").exit_code == Exit.USAGE
    assert json.loads(_done("protocol", "show", "--json"))["number"] == 1
    assert chain.head.height == 2
