"""Evidence in a file, judged from a genesis document alone: who signed two things, or why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from consensus.effects import Evidence
from consensus.evidence import encode_evidence, evidence_hash, make_evidence
from consensus.messages import PREPARE_KIND, Prepare, vote_input
from tests.ledger_harness import Harness, key_of

GENESIS = Harness().genesis
KEYS = [key for _, key in GENESIS.validator_keys()]
SIGNER = 1
DIGESTS = (b"\x0a" * 32, b"\x0b" * 32)
COMMANDS = (("evidence", "verify"), ("audit",))


def _prepare(digest: bytes) -> Prepare:
    member = GENESIS.validators[SIGNER]
    vote = (0, 2, 7, digest, SIGNER)
    signed = vote_input(GENESIS.chain_id, PREPARE_KIND, *vote)
    return Prepare(*vote, key_of(f"node:{member}").sign(signed))


RECORD = make_evidence(
    Evidence(SIGNER, *(_prepare(digest) for digest in DIGESTS)), GENESIS.chain_id, KEYS
)
DATA = encode_evidence(RECORD)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A piece of evidence that holds."""
    path = tmp_path / "found.evidence"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    """The genesis document that the auditor trusts."""
    path = tmp_path / "anchor.bin"
    path.write_bytes(GENESIS.data)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_signer_is_named_with_what_it_signed_twice(
    command: tuple[str, ...], file: Path, anchor: Path
) -> None:
    result = _run(*command, file, "--trust", anchor)
    assert result.exit_code == Exit.OK, result.output
    assert result.output.startswith("PROVEN\n  member    D02 (")
    assert "signed two PREPAREs for height 7, view 2, epoch 0: " in result.output
    for digest in DIGESTS:
        assert digest.hex() in result.output
    assert KEYS[SIGNER].hex() in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_programs_are_told_the_same(command: tuple[str, ...], file: Path, anchor: Path) -> None:
    value = json.loads(_run(*command, file, "--trust", anchor, "--json").output)
    assert value["verdict"] == "PROVEN"
    assert (value["member"], value["vote_key"]) == ("D02", KEYS[SIGNER].hex())
    assert (value["kind"], value["epoch"], value["view"], value["height"]) == ("PREPARE", 0, 2, 7)
    assert value["id"] == evidence_hash(DATA).hex()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", range(3, len(DATA), 37))
def test_altered_evidence_proves_nothing(
    command: tuple[str, ...], place: int, file: Path, anchor: Path
) -> None:
    altered = bytearray(DATA)
    altered[place] ^= 1
    file.write_bytes(altered)
    result = _run(*command, file, "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert result.stdout == ""
    assert result.stderr.startswith("error E")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_evidence_of_another_chain_proves_nothing_here(
    command: tuple[str, ...], file: Path, anchor: Path
) -> None:
    anchor.write_bytes(GENESIS.data.replace(b"D20", b"D21"))
    result = _run(*command, file, "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert f"error E4005: evidence is of chain {GENESIS.chain_id.hex()}, want " in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_without_an_anchor_nothing_is_judged(
    command: tuple[str, ...], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = _run(*command, file)
    assert result.exit_code == Exit.USAGE
    assert "name it with --trust FILE" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_file_that_is_not_there_is_named(
    command: tuple[str, ...], anchor: Path, tmp_path: Path
) -> None:
    result = _run(*command, tmp_path / "none.evidence", "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert "error E8001: cannot read" in result.stderr
