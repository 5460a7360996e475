"""Acts and questions about companies and their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ledger.transactions.records import Record, encode_record, record_digest, records_root
from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class Submitted:
    """How many records were stored; `duplicates` and `conflicts` are places in the submission."""

    accepted: int
    conflicts: tuple[int, ...]
    duplicates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SubmitRecords(Act[Submitted]):
    """Up to 1,000 records of one category and schema version, by its owner.

    Records of a category that needs authorisation carry 16 random bytes as `salt`; one that
    corrects another names it in `supersedes`: (day, digest).
    """

    kind: ClassVar[str] = "records.submit"
    category: str
    version: int
    records: tuple[Record, ...]
    schema: str = ""

    def attachments(self) -> tuple[bytes, ...]:
        """Return each record's bytes."""
        return tuple(encode_record(record) for record in self.records)

    def body(self) -> dict[str, Any]:
        """Return the signed body: how many records, and the root of their digests."""
        digests = [record_digest(data) for data in self.attachments()]
        return {
            "category": self.category,
            "schema": self.schema,
            "version": self.version,
            "count": len(digests),
            "root": records_root(digests),
        }


@dataclass(frozen=True, slots=True)
class DeclareRecords(SubmitRecords):
    """By a company or a counter for it: records of itself, marked self-declared everywhere."""

    kind: ClassVar[str] = "records.declare"


@dataclass(frozen=True, slots=True)
class Attested:
    """For how many companies completeness was attested."""

    companies: int


@dataclass(frozen=True, slots=True)
class AttestRecords(Act[Attested]):
    """By a category's owner: of these companies and days, nothing is missing."""

    kind: ClassVar[str] = "records.attest"
    category: str
    companies: tuple[str, ...]
    from_day: int
    to_day: int
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many records of a company were erased."""

    company: str
    erased: int


@dataclass(frozen=True, slots=True)
class EraseRecords(Act[Erased]):
    """By a category's owner, a regulator, or the company of what it declared: (day, digest) each.

    `ground` is retention (three years after the record's day, or when the category's own time is
    over), order or withdrawal; `reference` names the order or rule.
    """

    kind: ClassVar[str] = "records.erase"
    company: str
    category: str
    records: tuple[tuple[int, bytes], ...]
    ground: str
    reference: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A company and whether an earlier key was replaced."""

    company: str
    replaced: bool


@dataclass(frozen=True, slots=True)
class BindCompany(Act[Bound]):
    """By the registrar: bind a public key (32 bytes) to a company's code."""

    kind: ClassVar[str] = "company.bind"
    company: str
    public_key: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The company whose code is taken as it is."""

    company: str


@dataclass(frozen=True, slots=True)
class AcceptCode(Act[Accepted]):
    """By the registrar: a code of the first years whose check character is wrong."""

    kind: ClassVar[str] = "company.accept_code"
    company: str
    reason: str


@dataclass(frozen=True, slots=True)
class SchemaShown:
    """What is known of one record schema of a company."""

    schema: str
    category_name: str
    owner: str
    access: str
    is_negative: bool
    record_count: int
    conflict_count: int
    first_day: int | None
    last_day: int | None
    attested: tuple[tuple[int, ...], ...]
    is_self_declared: bool = False


@dataclass(frozen=True, slots=True)
class CompanyShown:
    """A company: its name and key if bound, its log of records, its schemas."""

    company: str
    name: str
    public_key: bytes | None
    log_size: int
    log_root: bytes
    schemas: tuple[SchemaShown, ...]


@dataclass(frozen=True, slots=True)
class ShowCompany(Ask[CompanyShown]):
    """A company and what records there are, without their content."""

    name: ClassVar[str] = "company.show"
    company: str


@dataclass(frozen=True, slots=True)
class ProfileLine:
    """One record schema in a profile; `complete_bp` of the last year."""

    schema: str
    name: str
    cadence: str
    is_negative: bool
    record_count: int
    last_day: int | None
    freshness: str
    complete_bp: int
    is_self_declared: bool = False


@dataclass(frozen=True, slots=True)
class CompanyProfile:
    """Everything that the caller may see of a company, by dimension."""

    company: str
    as_of: int
    log_size: int
    log_root: bytes
    dimensions: Mapping[str, tuple[ProfileLine, ...]]
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowProfile(Ask[CompanyProfile]):
    """The profile of a company; `access` is a look logged before (`consents.OpenAccess`)."""

    name: ClassVar[str] = "company.profile"
    company: str
    access: str | None = None


@dataclass(frozen=True, slots=True)
class RecordShown:
    """One record: its place, its standing, its fields and its own bytes."""

    number: int
    code: int
    day: int
    digest: bytes
    status: str
    height: int
    position: int
    index: int
    fields: Mapping[str, Any] | None
    body: bytes | None
    source_digest: bytes | None = None
    objection: Any = None
    corrects: Any = None
    corrected_by: Any = None


@dataclass(frozen=True, slots=True)
class RecordsShown:
    """Records, the cursor to go on from, and on what right they were shown."""

    records: tuple[RecordShown, ...]
    cursor: Any
    basis: str
    consent: str
    is_self_declared: bool = False


@dataclass(frozen=True, slots=True)
class ListRecords(Ask[RecordsShown]):
    """A company's records of one category and schema."""

    name: ClassVar[str] = "company.records"
    company: str
    category: str
    schema: str | None = None
    access: str | None = None
    limit: int | None = None
    cursor: Any = None


@dataclass(frozen=True, slots=True)
class FeaturesShown:
    """What rules know of a company: integers in the feature's unit, text or flags."""

    as_of: int
    facts: Mapping[str, Any]
    missing: tuple[str, ...]
    withheld: tuple[str, ...]
    self_declared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowFeatures(Ask[FeaturesShown]):
    """Every feature of a schema that the company's records give today."""

    name: ClassVar[str] = "company.features"
    company: str
    schema: str
    access: str | None = None


@dataclass(frozen=True, slots=True)
class FieldShown:
    """One field of a record schema; `scale` is the number of decimals of its integers."""

    name: str
    type: str
    unit: str
    scale: int
    is_optional: bool
    minimum: int | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """One version of a record schema of a category."""

    name: str
    version: int
    date_field: str
    identity: tuple[str, ...]
    fields: tuple[FieldShown, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """One category of the catalogue; `access` is PUB, AUT or REG."""

    id: str
    name: str
    name_zh: str
    owner: str
    access: str
    cadence: str
    dimension: str
    is_negative: bool
    has_natural_person: bool
    schemas: tuple[RecordSchema, ...]


@dataclass(frozen=True, slots=True)
class ListCategories(Ask[tuple[Category, ...]]):
    """The catalogue, or one category of it."""

    name: ClassVar[str] = "categories.list"
    category: str | None = None


@dataclass(frozen=True, slots=True)
class VersionTerm:
    """From when until when records of a schema's version are accepted; None: without bound."""

    schema: str
    version: int
    first_day: int | None
    last_day: int | None


@dataclass(frozen=True, slots=True)
class CategoryVersions:
    """The versions of a category's record schemas."""

    category: str
    versions: tuple[VersionTerm, ...]


@dataclass(frozen=True, slots=True)
class ListVersions(Ask[CategoryVersions]):
    """Which versions of a category's schemas are accepted, and when."""

    name: ClassVar[str] = "categories.versions"
    category: str


@dataclass(frozen=True, slots=True)
class TransactionFate:
    """UNKNOWN, or COMMITTED with place and code; `data` for the sender alone."""

    fate: str
    height: int | None = None
    position: int | None = None
    code: int | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class ShowFate(Ask[TransactionFate]):
    """What became of a transaction, in one node's word."""

    name: ClassVar[str] = "tx.fate"
    tx_id: bytes
