"""F40: more than f members lie, two auditors hold two certified chains, and both are VALID.

Each chain is a home as its node would have left it. Held against each other they name whoever
signed both of two blocks; nobody else, and nobody at all where no two certificates meet.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from ledger.chain.certificate import quorum
from ledger.execution import ExecutedBlock
from ledger.storage.chain_store import certificate_writes
from tests.audit.chain import CertifiedChain, write_home
from tests.ledger_harness import company_code

COMMON = 3


def chain(number: int, signers: Sequence[int] | None, after: int = 2) -> CertifiedChain:
    """Return a chain whose block 4 binds company `number`; it and later ones are of `signers`."""
    made = CertifiedChain()
    for company in range(1, COMMON + 1):
        made.block(made.bind(company_code(company)))
    certify(made, made.block(made.bind(company_code(number)), is_certified=False), signers)
    for company in range(80, 80 + after):
        certify(made, made.block(made.bind(company_code(company)), is_certified=False), signers)
    return made


def certify(made: CertifiedChain, block: ExecutedBlock, signers: Sequence[int] | None) -> None:
    """Certify a block by `signers`; None: by nobody."""
    if signers is not None:
        made.store.write(certificate_writes(made.certify(block.header, signers)), sync=True)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    """The genesis document that both auditors trust."""
    path = tmp_path / "anchor.bin"
    path.write_bytes(CertifiedChain().genesis.data)
    return path


def homes(folder: Path, *chains: CertifiedChain) -> list[Path]:
    return [write_home(made, folder / f"home-{index}") for index, made in enumerate(chains)]


def test_f40_two_certified_chains_name_who_signed_both(tmp_path: Path, anchor: Path) -> None:
    members = CertifiedChain().genesis.validators
    need = quorum(len(members))
    signers = (range(need), range(len(members) - need, len(members)))
    first, second = homes(tmp_path, chain(50, signers[0]), chain(51, signers[1]))
    for home in (first, second):
        assert run("audit", home, "--trust", anchor).output.startswith("VALID")
    out = tmp_path / "found"
    judged = run("evidence", "compare", first, second, "--trust", anchor, "--out", out, "--json")
    assert judged.exit_code == Exit.REFUSED, judged.output
    told = json.loads(judged.output)
    liars = [members[index] for index in sorted(set(signers[0]) & set(signers[1]))]
    assert (told["verdict"], told["parted"]) == ("FORKED", COMMON + 1)
    assert [item["member"] for item in told["proven"]] == liars
    files = sorted(out.iterdir())
    assert len(files) == len(liars)
    for file in files:
        shown = run("evidence", "verify", file, "--trust", anchor)
        assert shown.exit_code == Exit.OK
        assert "signed two CHECKPOINTs for height 4, epoch 0" in shown.output
    text = run("evidence", "compare", second, first, "--trust", anchor)
    assert text.output.startswith(f"FORKED at block {COMMON + 1}\nPROVEN\n")


def test_f40_chain_that_is_only_behind_is_the_same(tmp_path: Path, anchor: Path) -> None:
    need = range(quorum(len(CertifiedChain().genesis.validators)))
    first, second = homes(tmp_path, chain(50, need), chain(50, need, after=0))
    judged = run("evidence", "compare", first, second, "--trust", anchor)
    assert (judged.exit_code, judged.output) == (Exit.OK, "SAME: blocks 1 to 4 are equal\n")


def test_f40_block_without_a_certificate_names_nobody(tmp_path: Path, anchor: Path) -> None:
    """A block that only one node executed is no lie of those who did not certify it."""
    need = range(quorum(len(CertifiedChain().genesis.validators)))
    first, second = homes(tmp_path, chain(50, need), chain(51, None))
    judged = run("evidence", "compare", first, second, "--trust", anchor)
    assert judged.exit_code == Exit.REFUSED
    assert "nobody is proven to have lied" in judged.output


def test_home_of_another_chain_is_refused(tmp_path: Path) -> None:
    need = range(quorum(len(CertifiedChain().genesis.validators)))
    (home,) = homes(tmp_path, chain(50, need))
    other = tmp_path / "other.bin"
    other.write_bytes(CertifiedChain(settings={"max_interest_bp": 1}).genesis.data)
    judged = run("evidence", "compare", home, home, "--trust", other)
    assert judged.exit_code == Exit.REFUSED
    assert "is of chain" in judged.output + judged.stderr
