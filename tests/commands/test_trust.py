"""Verdicts across epochs: receipts, evidence and homes, from genesis or a later receipt (F89)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.audits.trust import EPOCHS_FILE
from commands.cli import cli
from commands.frame import Exit
from consensus.effects import Evidence
from consensus.evidence import encode_evidence, evidence_hash, make_evidence
from consensus.messages import PREPARE_KIND, Prepare, vote_input
from ledger.chain.epochs import decode_change, encode_changes
from ledger.storage.chain_store import certificate_writes
from tests.audit.chain import GovernedChain, governed_chain, node_key, receipt_of, write_home
from tests.ledger_harness import company_code

CHAIN = governed_chain()
HEAD = CHAIN.head.height
SIGNER = 4  # ICBC, who votes from epoch 1 on


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


def _evidence(epoch: int, signer: int) -> bytes:
    """Return evidence of two PREPAREs of one member."""
    validators = CHAIN.validators_of(epoch)
    key, chain_id = node_key(*validators[signer]), CHAIN.genesis.chain_id
    votes = []
    for digest in (b"\x0a" * 32, b"\x0b" * 32):
        vote = (epoch, 2, HEAD, digest, signer)
        votes.append(Prepare(*vote, key.sign(vote_input(chain_id, PREPARE_KIND, *vote))))
    keys = [public for _, public in validators]
    return encode_evidence(make_evidence(Evidence(signer, *votes), chain_id, keys))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with genesis, receipts of the first and the last block, and all changes."""
    (tmp_path / "genesis.bin").write_bytes(CHAIN.genesis.data)
    (tmp_path / "early.receipt").write_bytes(receipt_of(CHAIN, 1).encoded())
    (tmp_path / "late.receipt").write_bytes(receipt_of(CHAIN, HEAD).encoded())
    changes = [decode_change(data) for data in CHAIN.query("epochs.changes")["changes"]]
    (tmp_path / "changes.bin").write_bytes(encode_changes(CHAIN.genesis.chain_id, changes))
    return tmp_path


def test_receipt_of_a_later_epoch_names_what_the_verdict_rests_on(folder: Path) -> None:
    result = _run("verify", folder / "late.receipt", "--trust", folder / "genesis.bin")
    assert result.exit_code == Exit.OK, result.output
    assert "genesis, and 2 changes of members since" in result.output
    assert "4 of 5: D01, D02, D20, D18" in result.output
    result = _run("verify", folder / "late.receipt", "--trust", folder / "late.receipt")
    assert f"block {HEAD} of epoch 2, as trusted" in result.output


def test_f89_receipt_of_before_the_trusted_block_proves_nothing(folder: Path) -> None:
    result = _run("verify", folder / "early.receipt", "--trust", folder / "late.receipt")
    assert result.exit_code == Exit.REFUSED
    assert "epoch 0 ended before what is trusted here, a block of epoch 2" in result.output
    result = _run("verify", folder / "early.receipt", "--trust", folder / "genesis.bin")
    assert result.exit_code == Exit.OK


@pytest.mark.parametrize("command", [("evidence", "verify"), ("audit",)])
def test_evidence_of_a_later_epoch_wants_its_members(
    command: tuple[str, ...], folder: Path
) -> None:
    file = folder / "found.evidence"
    file.write_bytes(_evidence(2, SIGNER))
    genesis = ("--trust", folder / "genesis.bin")
    result = _run(*command, file, *genesis)
    assert result.exit_code == Exit.REFUSED
    assert "give the changes of members with --trust" in result.output
    for way in (
        (*genesis, "--trust", folder / "changes.bin"),
        (*genesis, "--trust", folder / "late.receipt"),
    ):
        result = _run(*command, file, *way)
        assert result.exit_code == Exit.OK, result.output
        assert "ICBC (member ICBC)" in result.output
    (folder / EPOCHS_FILE).write_bytes((folder / "changes.bin").read_bytes())
    assert _run(*command, file, *genesis).exit_code == Exit.OK


def test_audit_follows_epochs_and_judges_the_evidence_that_is_kept(folder: Path) -> None:
    home = write_home(CHAIN, folder / "home")
    (home / "evidence").mkdir()
    for data in (_evidence(0, 1), _evidence(2, SIGNER)):
        (home / "evidence" / f"{evidence_hash(data).hex()}.evidence").write_bytes(data)
    (home / "evidence" / "broken.evidence").write_bytes(b"nothing")
    result = _run("audit", home, "--trust", folder / "late.receipt")
    assert result.exit_code == Exit.OK, result.output
    assert "5 validators, epoch 2 since block" in result.output
    assert f"; block {HEAD} as trusted" in result.output
    assert "D02 signed two " in result.output
    assert "ICBC signed two " in result.output
    assert "evidence broken.evidence proves nothing: E1005" in result.output
    value = json.loads(_run("audit", home, "--json").output)
    assert [item["epoch"] for item in value["epochs"]] == [0, 1, 2]
    assert sorted(item["verdict"] for item in value["evidence"]) == [
        "PROVEN",
        "PROVEN",
        "PROVES NOTHING",
    ]


def test_f89_forged_home_is_refused_by_a_later_receipt(folder: Path) -> None:
    forged = GovernedChain()
    while forged.head.height < HEAD:
        forged.block()
    home = write_home(forged, folder / "home")
    assert _run("audit", home, "--trust", folder / "genesis.bin").exit_code == Exit.OK
    result = _run("audit", home, "--trust", folder / "late.receipt")
    assert result.exit_code == Exit.REFUSED
    assert f"block {HEAD}, trusted block: this chain has" in result.output


def test_f89_older_copy_is_unproven_by_a_later_receipt(folder: Path) -> None:
    short = GovernedChain()
    short.block()
    home = write_home(short, folder / "home")
    result = _run("audit", home, "--trust", folder / "late.receipt")
    assert result.exit_code == Exit.REFUSED
    assert result.output.startswith("UNPROVEN\n")


def test_two_anchors_of_one_kind_are_one_too_many(folder: Path) -> None:
    late = ("--trust", folder / "late.receipt")
    result = _run("verify", folder / "late.receipt", *late, *late)
    assert result.exit_code == Exit.USAGE
    assert "one of its kind was given already" in result.output


def test_f40_fork_in_a_later_epoch_names_its_signers(folder: Path) -> None:
    """F40 across epochs: members of epoch 1 certified two blocks; ICBC, new then, is named."""
    homes = []
    for number in (1, 2):
        chain = GovernedChain()
        chain.observe("ICBC")
        chain.decide("D01", "promote", "ICBC")
        chain.settle()
        block = chain.block(chain.bind(company_code(number)), is_certified=False)
        votes = chain.certify(block.header, (1, 2, 3, 4))
        chain.store.write(certificate_writes(votes), sync=True)
        homes.append(write_home(chain, folder / f"home-{number}"))
    result = _run("evidence", "compare", *homes, "--trust", folder / "genesis.bin")
    assert result.exit_code == Exit.REFUSED
    assert "FORKED at block" in result.output
    for name in ("D02", "D20", "D18", "ICBC"):
        assert f"{name} (member {name})" in result.output
    assert "D01 (member D01)" not in result.output
