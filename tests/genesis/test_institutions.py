"""The institutions of Guangdong, and a genesis of all 157 members of the province."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from genesis import builder, institutions
from genesis.local import plan
from genesis.network import NETWORKS
from ledger.errors import Code, Refused
from ledger.membership.genesis import parse_genesis
from ledger.membership.members import Role

GUANGDONG = NETWORKS / "guangdong"
NOW_MS = 1_800_000_000_000


def test_guangdong_has_129_institutions_of_every_supervisory_class() -> None:
    found = institutions.load_institutions(GUANGDONG)
    assert len({item.id for item in found}) == 129
    assert len({item.name_zh for item in found}) == 129
    assert Counter(item.kind for item in found) == {
        "national_bank": 12,
        "city_bank": 14,
        "rural_bank": 24,
        "village_bank": 12,
        "micro_loan": 20,
        "micro_loan_online": 3,
        "guarantee": 12,
        "guarantee_sme_agri": 4,
        "leasing": 8,
        "factoring": 8,
        "pawn": 5,
        "cooperative": 3,
        "crowdfunding": 2,
        "equity_market": 2,
    }


def test_table_is_what_the_program_makes_of_the_small_tables() -> None:
    made = institutions.make_institutions(GUANGDONG)
    assert tuple(made) == institutions.load_institutions(GUANGDONG)


def test_institution_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = (GUANGDONG / institutions.TABLE).read_text("utf-8").splitlines()
    (tmp_path / institutions.TABLE).write_text("\n".join([*lines[:3], lines[1]]), encoding="utf-8")
    with pytest.raises(Refused, match=r"line 4: institution icbc-gd stands twice") as caught:
        institutions.load_institutions(tmp_path)
    assert caught.value.code is Code.CONFIG_INVALID


def test_genesis_of_the_province_has_157_members_that_all_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium = tmp_path / "consortium.toml"
    consortium.write_text(institutions.consortium_of(GUANGDONG, "province"), encoding="utf-8")
    network = plan(consortium, tmp_path, nodes=157, base_port=17_000, now_ms=NOW_MS)
    genesis = parse_genesis(network.genesis_file.read_bytes())  # `plan` verified it
    assert genesis.chain_id == network.chain_id
    assert len(genesis.members) == len(genesis.validators) == 157
    assert len(genesis.categories) == 213 + 4  # four that companies declare themselves
    by_role = Counter(member.role for member in genesis.members)
    assert by_role == {Role.DEPARTMENT: 25, Role.REGULATOR: 3, Role.BANK: 129}
    assert all((member.kind != "") == (member.role is Role.BANK) for member in genesis.members)
    assert sum(1 for rule in genesis.rules if _KIND.search(rule)) == 319
    _leave_out(network.folder / "consortium.toml", "rongyin-rem")
    monkeypatch.setattr(builder, "verify", parse_genesis)  # its rules were compiled a moment ago
    without = parse_genesis(builder.build(network.folder / "consortium.toml", NOW_MS).data)
    assert len(without.members) == 156
    assert sum(1 for rule in without.rules if _KIND.search(rule)) == 317


_KIND = re.compile(rb'^kind = "product"$', re.MULTILINE)


def _leave_out(consortium: Path, member: str) -> None:
    tables = consortium.read_text("utf-8").split("\n[[member]]\n")
    kept = [table for table in tables if not table.startswith(f'id = "{member}"')]
    text = "\n[[member]]\n".join(kept).replace(f', "{member}"]', "]")
    consortium.write_text(text, encoding="utf-8")
