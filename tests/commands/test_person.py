"""`person agree` and the file that it signs: offline, and checked by what the ledger checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.cli import cli
from commands.consents.drafts import agreements_of, body_of, read_draft, write_draft
from commands.frame import Exit
from tests.credit_consent.test_persons import IDS, WithPersons
from tests.lending.province import SELLER


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str, bytes]:
    """Return the file of a new person's key, the person's id, and the public key."""
    path = tmp_path / "li.key"
    made = run("keys", "new", "person", "--out", path, "--no-password")
    assert made.exit_code == 0, made.output
    person, public_key = made.output.split()
    return path, person, bytes.fromhex(public_key)


@pytest.fixture
def draft(tmp_path: Path, key: tuple[Path, str, bytes]) -> Path:
    province = WithPersons()
    province.do("D01", "person.bind", person=key[1], public_key=key[2])
    path = tmp_path / "terms.json"
    body = province.terms | {"persons": [key[1]]}
    chain = province.genesis.chain_id.hex()
    write_draft(path, {"chain": chain, "body": body, "agreements": {}})
    return path


def test_what_is_signed_in_the_file_is_granted(draft: Path, key: tuple[Path, str, bytes]) -> None:
    signed = run("person", "agree", draft, "--key", key[0], "--yes")
    assert signed.exit_code == 0, signed.output
    assert "1 of 1 persons have agreed" in signed.output
    province = WithPersons()
    province.do("D01", "person.bind", person=key[1], public_key=key[2])
    read = read_draft(draft)
    agreements = agreements_of(read)
    granted = province.do(SELLER, "consent.grant", agreements=agreements, **body_of(read))
    assert granted["state"] == "ACTIVE"


def test_nothing_is_signed_without_a_yes(draft: Path, key: tuple[Path, str, bytes]) -> None:
    before = draft.read_text()
    asked = CliRunner().invoke(
        cli, ["person", "agree", str(draft), "--key", str(key[0])], input="n\n"
    )
    assert asked.exit_code != 0
    assert "recipient" in asked.output
    assert draft.read_text() == before


def test_who_is_not_named_cannot_sign(draft: Path, key: tuple[Path, str, bytes]) -> None:
    refused = run("person", "agree", draft, "--key", key[0], "--person", IDS["wang"], "--yes")
    assert refused.exit_code == Exit.USAGE
    assert f"person {IDS['wang']} is not named" in refused.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chain": "00", "body": {}}'])
def test_a_file_that_is_no_draft_is_refused(
    tmp_path: Path, key: tuple[Path, str, bytes], text: str
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    refused = run("person", "agree", path, "--key", key[0], "--yes")
    assert refused.exit_code != 0
    assert "is no draft of an authorisation" in refused.stderr


@pytest.mark.parametrize(
    "changes", [{"chain": "zz"}, {"body": []}, {"body": {"persons": 5}}, {"agreements": []}]
)
def test_a_draft_with_another_shape_inside_is_refused_in_one_line(
    draft: Path, key: tuple[Path, str, bytes], changes: dict[str, Any]
) -> None:
    value = json.loads(draft.read_text()) | changes
    draft.write_text(json.dumps(value))
    refused = run("person", "agree", draft, "--key", key[0], "--yes")
    assert refused.exit_code != 0
    assert refused.stderr.startswith("error E")
    assert refused.stderr.count("\n") == 1
