"""A small network in memory for tests: a genesis with seven members, and blocks executed at will.

`Harness()` holds the keys of everybody; `block(...)` executes transactions as one block and applies
its writes; `submit`, `bind` and the like build the common transactions. Nonces count up, so runs
are repeatable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.header import Header
from ledger.credit.rulebook import RuleCache
from ledger.credit.uscc import make_uscc
from ledger.encoding import encode
from ledger.execution import ExecutedBlock, ExecutionCaches, execute_block, execute_genesis
from ledger.keys import SigningKey
from ledger.membership.context import Party, QueryContext, Role
from ledger.membership.genesis import parse_genesis
from ledger.membership.members import get_member, get_validators
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore, certificate_writes
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import Transaction, sign_transaction
from ledger.transactions.records import Record, encode_record, record_digest, records_root

DAY_MS = 86_400_000
GENESIS_DAY = 18_313  # 2020-02-21
HOUR_MS = 3_600_000
SALT = bytes(range(16))

MEMBERS = (
    ("D01", "department", ("registrar", "counter"), True),
    ("D02", "department", (), True),
    ("D20", "department", (), True),
    ("D18", "regulator", (), True),
    ("ICBC", "institution", (), False),
    ("PAB", "institution", (), False),
    ("CCB", "institution", (), False),
)

KINDS = {"ICBC": "micro_loan", "PAB": "guarantee"}


def key_of(name: str) -> SigningKey:
    """Return the key of a member, a node ("node:D01") or a company, from its name."""
    return SigningKey(sha256(name.encode()).digest())


def company_code(number: int) -> str:
    """Return a made-up valid company code."""
    return make_uscc(f"91440300{number:08d}")


def field(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    """Return one field of a schema in the genesis document."""
    base = {
        "name": name,
        "type": kind,
        "unit": "",
        "is_optional": False,
        "values": (),
        "scale": 0,
        "minimum": None,
    }
    return base | changes


def schema(name: str, fields: Iterable[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return one record schema of the genesis document."""
    base = {"name": name, "version": 1, "date_field": "", "identity": (), "fields": tuple(fields)}
    return base | changes


def category(name: str, owner: str, schemas: Iterable[dict[str, Any]], access: str = "PUB") -> Any:
    """Return one category of the genesis document."""
    return {
        "id": name,
        "owner": owner,
        "name": f"category {name}",
        "name_zh": "",
        "access": access,
        "is_negative": False,
        "has_natural_person": False,
        "cadence": "event",
        "dimension": "",
        "schemas": tuple(schemas),
    }


MONEY = {"unit": "CNY", "scale": 2}
LINE_FIELDS = (
    field("invoice_no", "string"),
    field("issued_on", "date"),
    field("counterparty", "string"),
    field("net", "decimal", **MONEY),
    field("tax", "decimal", **MONEY),
    field("gross", "decimal", **MONEY),
    field("status", "enum", values=("V", "X")),
)
LINE = {"date_field": "issued_on", "identity": ("invoice_no", "issued_on")}
CATEGORIES = (
    category(
        "C028",
        "D01",
        [
            schema(
                "",
                [
                    field("patent_no", "string"),
                    field("title", "string"),
                    field("granted_on", "date"),
                    field("legal_status", "enum", values=("valid", "lapsed")),
                    field("inventors", "list", is_optional=True),
                ],
                date_field="granted_on",
                identity=("patent_no",),
            )
        ],
    ),
    category(
        "C044",
        "D02",
        [
            schema(
                "",
                [
                    field("period", "month"),
                    field("net_amount", "decimal", **MONEY),
                    field("invoice_count", "int", minimum=0),
                ],
                date_field="period",
                identity=("period",),
            ),
            schema("line", LINE_FIELDS, **LINE),
        ],
        access="AUT",
    ),
    category(
        "C048",
        "D02",
        [
            schema(
                "",
                [
                    field("arrears", "decimal", minimum=0, **MONEY),
                    field("is_final", "bool", is_optional=True),
                    field("note", "text", is_optional=True),
                ],
            )
        ],
    ),
)


def genesis_document(
    rules: Iterable[bytes] = (),
    categories: Iterable[Any] = CATEGORIES,
    settings: Mapping[str, Any] | None = None,
    abroad: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the value of a genesis document with the seven members, some of them abroad."""
    members = [
        {
            "id": name,
            "name": f"member {name}",
            "name_zh": "",
            "role": role,
            "capabilities": (*capabilities, *(("abroad",) if name in abroad else ())),
            "public_key": key_of(name).public_key,
            "certificate": b"certificate of " + name.encode(),
            "kind": KINDS.get(name, ""),
            "node": (
                {"public_key": key_of(f"node:{name}").public_key, "address": f"{name}.test:7001"}
                if has_node
                else None
            ),
        }
        for name, role, capabilities, has_node in MEMBERS
    ]
    return {
        "format": "creditledger/genesis/1",
        "name": "test",
        "time_ms": GENESIS_DAY * DAY_MS + 4 * HOUR_MS,
        "clock_offset_ms": 0,
        "members": tuple(members),
        "validators": tuple(name for name, _, _, has_node in MEMBERS if has_node),
        "categories": tuple(categories),
        "rules": tuple(rules),
        "settings": {} if settings is None else dict(settings),
    }


class Harness:
    """One chain in memory; `store` is what a node's disk would hold."""

    abroad: tuple[str, ...] = ()

    def __init__(
        self,
        rules: Iterable[bytes] = (),
        categories: Iterable[Any] = CATEGORIES,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        document = genesis_document(rules, categories, settings, self.abroad)
        self.genesis = parse_genesis(encode(document))
        result = execute_genesis(self.genesis)
        self.store = MemoryStore()
        self.store.write(result.writes, sync=True)
        self.head = result.header
        self.genesis_root = result.header.state_root
        self.caches = ExecutionCaches()
        self._nonce = 0

    @property
    def day(self) -> int:
        """The date of the last block."""
        return self.head.time_ms // DAY_MS

    def sign(
        self,
        sender: str,
        kind: str,
        body: Mapping[str, Any],
        attachments: Iterable[bytes] = (),
        *,
        key: SigningKey | None = None,
        expires_in_ms: int = HOUR_MS * 24 * 365,
    ) -> Transaction:
        """Return a signed transaction of `sender` with a fresh nonce."""
        self._nonce += 1
        return sign_transaction(
            key_of(sender) if key is None else key,
            chain_id=self.genesis.chain_id,
            sender=sender,
            nonce=self._nonce.to_bytes(16, "big"),
            expires_at_ms=self.head.time_ms + expires_in_ms,
            kind=kind,
            body=dict(body),
            attachments=tuple(attachments),
        )

    def submit(
        self, sender: str, category_id: str, items: Iterable[Record], schema_name: str = ""
    ) -> Transaction:
        """Return a `records.submit` of these records."""
        attachments = [encode_record(item) for item in items]
        digests = [record_digest(item) for item in attachments]
        body = {
            "category": category_id,
            "schema": schema_name,
            "version": 1,
            "count": len(attachments),
            "root": records_root(digests),
        }
        return self.sign(sender, "records.submit", body, attachments)

    def attest(
        self,
        sender: str,
        category_id: str,
        companies: Iterable[str],
        from_day: int,
        to_day: int,
        schema_name: str = "",
    ) -> Transaction:
        """Return a `records.attest`."""
        body = {
            "category": category_id,
            "schema": schema_name,
            "companies": tuple(companies),
            "from_day": from_day,
            "to_day": to_day,
        }
        return self.sign(sender, "records.attest", body)

    def bind(self, company: str, name: str = "a company") -> Transaction:
        """Return the registrar's `company.bind` of the company's key (`key_of(company)`)."""
        body = {"company": company, "public_key": key_of(company).public_key, "name": name}
        return self.sign("D01", "company.bind", body)

    def execute(
        self, transactions: Iterable[Transaction], time_ms: int | None = None
    ) -> ExecutedBlock:
        """Return the next block without applying it."""
        items = list(transactions)
        moment = self.head.time_ms + 1000 if time_ms is None else time_ms
        batch = Batch(self.head.height + 1, moment, tuple(item.signed_hash for item in items))
        return execute_block(self.store, self.head, batch, items, caches=self.caches)

    def block(self, *transactions: Transaction, time_ms: int | None = None) -> ExecutedBlock:
        """Execute the next block, apply its writes and a certificate, return it."""
        executed = self.execute(transactions, time_ms)
        self.store.write(executed.writes, sync=True)
        self.head = executed.header
        self.store.write(certificate_writes(self.certify(executed.header)), sync=True)
        return executed

    def certify(self, header: Header) -> Certificate:
        """Return the certificate of a block, by the first Q validators."""
        names = [member_id for member_id, _ in get_validators(self.state())]
        votes = []
        for signer, name in enumerate(names[: quorum(len(names))]):
            signed = checkpoint_signing_input(
                self.genesis.chain_id, header.epoch, header.height, header.hash(), signer
            )
            votes.append((signer, key_of(f"node:{name}").sign(signed)))
        return Certificate(header.epoch, header.height, header.hash(), tuple(votes))

    def run(self, transaction: Transaction, time_ms: int | None = None) -> tuple[int, Any]:
        """Execute a block of one transaction; return its (code, data)."""
        return self.block(transaction, time_ms=time_ms).results[0]

    def advance_days(self, days: int) -> None:
        """Execute an empty block so many days later."""
        self.block(time_ms=self.head.time_ms + days * DAY_MS)

    def state(self) -> Overlay:
        """Return the state as it stands, to read from."""
        return Overlay(self.store)

    def query_context(self, caller: str) -> QueryContext:
        """Return what a query of this member or company is given."""
        state = self.state()
        member = get_member(state, caller)
        role = None if member is None else Role(member.role)
        party = Party(caller, role, member, member is None)
        chain = ChainStore(self.store)
        return QueryContext(state, chain, party, self.head.time_ms, RuleCache().over(state))
