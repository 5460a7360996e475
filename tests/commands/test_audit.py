"""The audit command on a small chain: VALID, or the place of what was damaged on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from commands.homes.damage import Tampering, tamper_block
from ledger.storage.memory import MemoryStore
from tests.audit.chain import CertifiedChain, filled_chain, write_home

CHAIN = filled_chain()
SEEDS = range(12)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.fixture(scope="module")
def chain() -> CertifiedChain:
    """A chain of six blocks, of which all but the last are certified."""
    return CHAIN


@pytest.fixture
def home(chain: CertifiedChain, tmp_path: Path) -> Path:
    """A home with that chain, which the test may damage."""
    return write_home(chain, tmp_path / "home")


@pytest.fixture
def anchor(chain: CertifiedChain, tmp_path: Path) -> Path:
    """The genesis document that the auditor trusts."""
    path = tmp_path / "anchor.bin"
    path.write_bytes(chain.genesis.data)
    return path


def test_whole_home_is_valid_with_counts(home: Path, anchor: Path) -> None:
    result = _run("audit", home, "--trust", anchor)
    assert result.exit_code == Exit.OK, result.output
    assert result.output.startswith("VALID\n")
    assert "6, certified up to 5" in result.output
    counts = json.loads(_run("audit", home, "--trust", anchor, "--json").output)["counts"]
    assert counts["blocks"] == 6
    assert counts["certificates"] == 5


def test_another_chain_is_told_by_its_anchor(home: Path, anchor: Path) -> None:
    anchor.write_bytes(anchor.read_bytes().replace(b"D20", b"D21"))
    result = _run("audit", home, "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert "VALID\n" not in result.output.replace("INVALID\n", "")


def _tampered(seed: int) -> tuple[MemoryStore, Tampering]:
    store = MemoryStore()
    store.write(dict(CHAIN.store.scan(b"", b"\xff")), sync=True)
    return store, tamper_block(store, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_rewritten_block_is_named_with_its_transaction(
    home: Path, anchor: Path, tmp_path: Path, seed: int
) -> None:
    note = tmp_path / "note.json"
    quiet = _run("devnet", "tamper", "--home", home, "--seed", str(seed), "--note", note)
    assert quiet.output == ""
    result = _run("audit", home, "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert result.output.startswith("INVALID\n")
    done = json.loads(note.read_text())
    assert f"block {done['height']}, transaction {done['position']}, " in result.output


def test_seeds_reach_every_part_of_a_transaction() -> None:
    parts = {_tampered(seed)[1].part for seed in range(60)}
    assert parts == {"transaction", "signature", "result", "body"}


def test_tampering_changes_one_stored_value() -> None:
    for seed in SEEDS:
        store, done = _tampered(seed)
        before, after = (dict(item.scan(b"", b"\xff")) for item in (CHAIN.store, store))
        changed = [key for key in before if before[key] != after[key]]
        assert before.keys() == after.keys()
        assert len(changed) == 1
        assert done.height.to_bytes(8, "big") in changed[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_flipped_byte_is_named_with_its_file(
    home: Path, anchor: Path, tmp_path: Path, seed: int
) -> None:
    note = tmp_path / "note.json"
    quiet = _run("devnet", "flip", "--home", home, "--seed", str(seed), "--note", note)
    assert quiet.output == ""
    result = _run("audit", home, "--trust", anchor)
    assert result.exit_code == Exit.REFUSED
    assert result.output.startswith("DAMAGED\n")
    assert f"db/{json.loads(note.read_text())['file']} at offset " in result.output
    assert "lost: " in result.output
    assert "to repair: " in result.output


def test_empty_folder_has_nothing_to_audit(tmp_path: Path) -> None:
    result = _run("audit", tmp_path)
    assert result.exit_code == Exit.STORAGE
    assert "has no database to audit" in result.stderr
