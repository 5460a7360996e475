"""`company records`: a look under an authorisation is logged first, as a node asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands import company as company_commands
from commands.cli import cli
from commands.frame import Exit
from genesis.network import load_network
from ledger.errors import Code
from network.connection import NodeError

COMPANY = "91441300M12001019U"


class FakeSession:
    """A node that shows records only to who has logged a look, or refuses with another code."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.looks: list[tuple[str, tuple[str, ...], str]] = []
        self.client = SimpleNamespace(
            profile=SimpleNamespace(genesis=SimpleNamespace(categories=()))
        )

    def query(self, _name: str, **params: Any) -> Any:
        if params.get("access") == "a look":
            return {"relation": "consent", "records": (), "cursor": None}
        raise NodeError("D18", self.code, "no")

    def look(self, company: str, categories: tuple[str, ...], purpose: str) -> str:
        self.looks.append((company, categories, purpose))
        return "a look"


def _records(monkeypatch: pytest.MonkeyPatch, session: FakeSession) -> Result:
    @contextmanager
    def open_session(*_: Any) -> Iterator[FakeSession]:
        yield session

    monkeypatch.setattr(company_commands, "open_session", open_session)
    arguments = ["company", "records", COMPANY, "C044", "--as", "icbc-gd", "--json"]
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("code", [Code.ACCESS_NOT_LOGGED, Code.CONSENT_MISSING])
def test_a_look_is_logged_and_the_records_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    session = FakeSession(code)
    result = _records(monkeypatch, session)
    assert result.exit_code == Exit.OK, result.output
    assert session.looks == [(COMPANY, ("C044",), "lending")]


def test_what_is_refused_for_another_reason_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(Code.CATEGORY_UNKNOWN)
    result = _records(monkeypatch, session)
    assert result.exit_code == Exit.REFUSED
    assert session.looks == []


def test_a_record_says_why_fields_are_absent_and_what_the_company_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = {"number": 1, "day": 18_000, "status": "CURRENT", "fields": None, "objection": None}
    marks = (("00", "OPEN", ""), ("00", "ANNOTATED", "the goods came back"))
    category = next(c for c in load_network("guangdong").categories if c["id"] == "C175")

    class Shown(FakeSession):
        def query(self, _name: str, **asked: Any) -> Any:
            codes = (Code.OK, Code.NOT_HELD, Code.RECORD_OVER)
            records = tuple(item | {"code": int(code)} for code in codes)
            records += tuple(item | {"code": 0, "objection": mark} for mark in marks)
            at = asked.get("cursor", 0)
            shown = {"basis": "public", "records": records[at : at + 3], "cursor": at + 3}
            shown["is_self_declared"] = True
            return shown if _name == "company.records" else [category]

    session = Shown(Code.OK)

    @contextmanager
    def open_session(*_: Any) -> Iterator[FakeSession]:
        yield session

    monkeypatch.setattr(company_commands, "open_session", open_session)
    words = ["company", "records", COMPANY, "C175", "--as", "icbc-gd", "--limit", "5"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == Exit.OK, result.output
    told = ("CURRENT, not held here", "CURRENT, no longer shown", "CURRENT, disputed")
    said = ("the company says: the goods came back", "(public, self-declared)", "first 5 are shown")
    for text in (*told, *said):
        assert text in result.output
