"""The demonstration in memory: its genesis, its data files, its blocks, without sockets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from commands.intake import (
    AttestMapping,
    OnError,
    derive_secret,
    load_mapping,
    make_attestations,
    make_batches,
    read_all,
)
from commands.intake.values import parse_date, parse_decimal
from genesis.local import plan
from ledger.execution import ExecutionCaches, execute_genesis
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import Transaction
from ledger.transactions.fields import FIRST_DAY
from network.certificates import load_key
from tests.ledger_harness import DAY_MS, Harness

DEMO = Path(__file__).parents[2] / "genesis/demo"
NOW_MS = 1_795_000_000_000


class DemoNetwork(Harness):
    """Seven members with keys in `folder`; blocks are executed on a store in memory."""

    def __init__(self, folder: Path, as_of: date | None = None) -> None:
        consortium = DEMO / "consortium.toml"
        network = plan(consortium, folder, nodes=7, base_port=7001, now_ms=NOW_MS, as_of=as_of)
        self.seeds = {member.id: load_key(member.key_file) for member in network.members}
        self.genesis = parse_genesis(network.genesis_file.read_bytes())
        self.categories = {category.id: category for category in self.genesis.categories}
        result = execute_genesis(self.genesis)
        self.store = MemoryStore()
        self.store.write(result.writes, sync=True)
        self.head = result.header
        self.caches = ExecutionCaches()
        self._nonce = 0

    def signed(self, member: str, kind: str, body: Mapping[str, Any]) -> Transaction:
        """Return a member's transaction."""
        return self.sign(member, kind, body, key=SigningKey(self.seeds[member]))

    def act(self, member: str, kind: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Execute one transaction of a member as a block; return its (code, data)."""
        return self.run(self.signed(member, kind, body))

    def submit_file(self, member: str, file: Path, mapping_file: Path) -> list[tuple[int, Any]]:
        """Submit a file as `creditledger submit` does; return the (code, data) of each batch."""
        mapping = load_mapping(mapping_file, self.categories)
        intake = read_all(file, mapping, OnError.ABORT)
        secret = derive_secret(self.seeds[member])
        lines: Any = intake.lines
        if isinstance(mapping, AttestMapping):
            batches = list(make_attestations(lines, secret))
        else:
            batches = list(make_batches(lines, mapping, secret))
        key = SigningKey(self.seeds[member])
        transactions = [
            self.sign(member, batch.kind, batch.body, batch.attachments, key=key)
            for batch in batches
        ]
        return [self.run(transaction) for transaction in transactions]

    def submit_plan(self, data: Path) -> list[tuple[int, Any]]:
        """Submit everything that plan.json under `data` lists."""
        document = json.loads((data / "plan.json").read_text("utf-8"))
        results: list[tuple[int, Any]] = []
        for item in document["submissions"]:
            results += self.submit_file(item["member"], data / item["file"], data / item["map"])
        return results

    def register_products(self, paths: Iterable[str]) -> list[tuple[int, Any]]:
        """Register product files, each as its lender."""
        results = []
        for path in paths:
            source = Path(path).read_bytes()
            lender = next(
                line.split('"')[1]
                for line in source.decode().splitlines()
                if line.startswith("lender")
            )
            results.append(self.act(lender, "product.register", {"source": source}))
        return results

    def apply(self, case: Mapping[str, Any]) -> tuple[int, Any]:
        """Bind, authorise, register and confirm the asset, apply; all over the counter."""
        company = case["company"]
        self.run(self.sign("D01", "company.bind", _key_body(company), key=self._key("D01")))
        body = {
            "company": company,
            "recipient": case["lender"],
            "categories": tuple(sorted(case["categories"])),
            "purpose": "lending",
            "mode": "view",
            "from_day": self.day - 390,
            "to_day": self.day + 30,
            "decision_from_day": FIRST_DAY,
            "starts_ms": self.head.time_ms,
            "expires_ms": self.head.time_ms + 30 * DAY_MS,
            "fetch": "once",
        }
        code, data = self.act("D01", "consent.grant", body)
        assert code == 0, data
        body = {
            "company": company,
            "product": case["product"],
            "amount_fen": parse_decimal(case["amount"], 2),
            "term_days": case["term_days"],
        }
        if case["asset"] is not None:
            body["asset"] = self.register_asset(company, case["asset"])
        return self.act("D01", "loan.apply", body)

    def register_asset(self, company: str, asset: Mapping[str, str]) -> Any:
        """Register an asset and let its debtor, if it has one, confirm it; return its id."""
        body: dict[str, Any] = {
            "company": company,
            "kind": asset["kind"],
            "document_no": asset["document"],
            "day": parse_date(asset["day"]),
        }
        if "counterparty" in asset:
            body |= {
                "counterparty": asset["counterparty"],
                "amount_fen": parse_decimal(asset["amount"], 2),
                "due_day": parse_date(asset["due"]),
            }
        code, data = self.act("D01", "asset.register", body)
        assert code == 0, data
        if "counterparty" in asset:
            code, confirmed = self.act("D01", "asset.confirm", {"asset": data["asset"]})
            assert code == 0, confirmed
        return data["asset"]

    def _key(self, member: str) -> SigningKey:
        return SigningKey(self.seeds[member])


def _key_body(company: str) -> dict[str, Any]:
    seed = company.encode().ljust(32, b"\x00")
    return {"company": company, "public_key": SigningKey(seed).public_key, "name": "a company"}
