"""Keys and genesis from the command line: files with the right modes, errors with the place."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.frame import Exit
from genesis import local
from ledger.keys import check_public_key
from network.certificates import ClientIdentity, NodeIdentity, load_certificate, verify_identity
from network.profile import Profile


def _run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments], env=env)


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A folder with a member's key and certificate."""
    folder = tmp_path / "D02"
    result = _run("keys", "new", "member", "D02", "--out", folder, "--no-password")
    assert result.exit_code == Exit.OK, result.output
    check_public_key(bytes.fromhex(result.output.strip()))
    return folder


def test_private_key_can_be_read_by_its_owner_alone(member: Path) -> None:
    assert stat.S_IMODE((member / "member.key").stat().st_mode) == 0o600


def test_node_certificate_is_issued_by_the_member(member: Path) -> None:
    _run("keys", "new", "node", "D02", "--member", member, "--out", member, "--no-password")
    anchors = {"D02": (load_certificate(member / "member.crt"),)}
    assert verify_identity(load_certificate(member / "tls.crt"), anchors) == NodeIdentity("D02")


def test_keys_are_never_overwritten(member: Path) -> None:
    result = _run("keys", "new", "member", "D02", "--out", member, "--no-password")
    assert result.exit_code == Exit.REFUSED
    assert "never overwritten" in result.stderr


def test_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    made = _run("keys", "new", "member", "D02", "--out", tmp_path, "--password-file", password)
    shown = _run("keys", "show", tmp_path / "member.key", "--password-file", password)
    assert made.output.strip() in shown.output
    refused = _run("keys", "show", tmp_path / "member.key")
    assert refused.exit_code == Exit.REFUSED
    assert "is encrypted" in refused.stderr
    env = {"CREDITLEDGER_KEY_PASSWORD": "battery staple"}
    assert "wrong password" in _run("keys", "show", tmp_path / "member.key", env=env).stderr


def test_no_password_at_hand_is_no_key_in_clear(tmp_path: Path) -> None:
    result = _run("keys", "new", "member", "D02", "--out", tmp_path)
    assert result.exit_code == Exit.USAGE
    assert not (tmp_path / "member.key").exists()


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> local.LocalNetwork:
    """Keys and genesis of the demonstration's members."""
    folder = tmp_path_factory.mktemp("net")
    return local.plan(
        Path(local.__file__).parent / "demo" / "consortium.toml",
        folder,
        nodes=4,
        base_port=17_000,
        now_ms=time.time_ns() // 1_000_000,
    )


def test_genesis_is_shown_with_members_and_chain_id(planned: local.LocalNetwork) -> None:
    output = _run("genesis", "show", planned.genesis_file).output
    assert planned.chain_id.hex() in output
    for member in planned.members:
        assert member.id in output


def test_genesis_verify_compares_the_chain_id(planned: local.LocalNetwork) -> None:
    right = _run("genesis", "verify", planned.genesis_file, "--chain-id", planned.chain_id.hex())
    assert right.output.strip() == planned.chain_id.hex()
    wrong = _run("genesis", "verify", planned.genesis_file, "--chain-id", "0" * 64)
    assert wrong.exit_code == Exit.REFUSED
    assert "error E7002" in wrong.stderr


def test_genesis_build_repeats_what_was_planned(
    planned: local.LocalNetwork, tmp_path: Path
) -> None:
    out = tmp_path / "again.bin"
    result = _run("genesis", "build", planned.folder / "consortium.toml", "--out", out)
    assert result.exit_code == Exit.OK
    assert _run("genesis", "verify", out).output.strip() == result.output.strip()


def test_client_profile_names_the_nodes_its_own_first(
    planned: local.LocalNetwork, tmp_path: Path
) -> None:
    member = next(item for item in planned.members if item.id == "D18")
    out = tmp_path / "D18"
    result = _run(
        *("keys", "new", "client", "D18", "desk", "--member", member.folder),
        *("--genesis", planned.genesis_file, "--out", out, "--no-password"),
    )
    assert result.exit_code == Exit.OK, result.stderr
    profile = Profile.load(out)
    assert profile.chain_id == planned.chain_id
    assert profile.nodes[0].member == "D18"
    assert len(profile.nodes) == 4
    anchors = {"D18": (load_certificate(member.certificate_file),)}
    found = verify_identity(load_certificate(out / "tls.crt"), anchors)
    assert found == ClientIdentity("D18", "desk")


def test_home_needs_the_key_that_genesis_names(planned: local.LocalNetwork, tmp_path: Path) -> None:
    _run("keys", "new", "member", "D02", "--out", tmp_path, "--no-password")
    _run("keys", "new", "node", "D02", "--member", tmp_path, "--out", tmp_path, "--no-password")
    result = _run(
        *("init", "--home", tmp_path / "home", "--genesis", planned.genesis_file),
        *("--member", "D02", "--keys", tmp_path, "--listen", "127.0.0.1:7001"),
    )
    assert result.exit_code == Exit.REFUSED
    assert "error E7003: node.key is " in result.stderr
    assert not (tmp_path / "home").exists()


def test_product_is_checked_without_a_network(planned: local.LocalNetwork) -> None:
    for path in sorted((Path(local.__file__).parent / "demo" / "products").glob("*.toml")):
        result = _run("product", "check", path, "--trust", planned.genesis_file)
        assert result.exit_code == Exit.OK, result.stderr
        assert "would be registered as" in result.output


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("rv.due - as_of >= p.min_tenor", "rv.due - as_of >= p.advance_rate", "line 30, column"),
        ('requires = ["C044"]', "requires = []", "needs the company's authorisation"),
        ("rv.confirmed &&", "rv.confirmd &&", "rv.confirmd"),
        ('"80.00%"', "0.8", "whole numbers"),
    ],
)
def test_mistake_in_a_product_is_a_sentence_with_its_place(
    planned: local.LocalNetwork, tmp_path: Path, right: str, wrong: str, text: str
) -> None:
    source = Path(local.__file__).parent / "demo" / "products" / "supply-chain.toml"
    path = tmp_path / "product.toml"
    assert right in source.read_text()
    path.write_text(source.read_text().replace(right, wrong))
    result = _run("product", "check", path, "--trust", planned.genesis_file)
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.startswith("error E2501: ")
    assert text in result.stderr
