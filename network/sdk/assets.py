"""Acts and questions about financing assets: registered once, pledged once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from network.sdk.reading import Act, Ask


@dataclass(frozen=True, slots=True)
class Registered:
    """The asset's id; `match` says whether one like it was registered: none or similar."""

    asset: str
    match: str


@dataclass(frozen=True, slots=True)
class RegisterAsset(Act[Registered]):
    """By the company or a counter for it. `amount_fen` is in minor units of `currency`."""

    kind: ClassVar[str] = "asset.register"
    company: str
    asset_kind: str
    document_no: str
    day: int
    counterparty: str | None = None
    amount_fen: int | None = None
    due_day: int | None = None
    currency: str | None = None
    attributes: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """Return the body, in which the asset's kind is called `kind`."""
        return _with_kind(Act.body(self))


@dataclass(frozen=True, slots=True)
class AssetState:
    """An asset and its state."""

    asset: str
    state: str


@dataclass(frozen=True, slots=True)
class ConfirmAsset(Act[AssetState]):
    """By the debtor, or a counter for it: this is owed."""

    kind: ClassVar[str] = "asset.confirm"
    asset: str


@dataclass(frozen=True, slots=True)
class WithdrawAsset(Act[AssetState]):
    """By the owner or a counter for it; an asset that is not pledged."""

    kind: ClassVar[str] = "asset.withdraw"
    asset: str


@dataclass(frozen=True, slots=True)
class Pledged:
    """How much of an asset is pledged now."""

    asset: str
    pledged_fen: int


@dataclass(frozen=True, slots=True)
class PledgeAsset(Act[Pledged]):
    """By a lender, for an application that it granted; who comes second gets code 2303."""

    kind: ClassVar[str] = "asset.pledge"
    asset: str
    application: str
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseAsset(Act[Pledged]):
    """By the lender, or the owner once the offer has lapsed."""

    kind: ClassVar[str] = "asset.release"
    asset: str
    application: str


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset; to a lender whom it does not concern, no more than `pledged` (exact … none)."""

    asset: str
    state: str
    pledged: str = ""
    company: str = ""
    kind: str = ""
    document_no: str = ""
    day: int | None = None
    counterparty: str = ""
    amount_fen: int | None = None
    due_day: int | None = None
    currency: str = ""
    attributes: Mapping[str, Any] | None = None
    registered_by: str = ""
    registered_day: int | None = None
    confirmed_by: str = ""
    confirmed_day: int | None = None
    confirm_due_day: int | None = None
    is_confirm_late: bool | None = None
    is_pledged: bool | None = None
    lender: str = ""
    pledged_fen: int | None = None


@dataclass(frozen=True, slots=True)
class ShowAsset(Ask[Asset]):
    """One asset, as far as the caller may see it."""

    name: ClassVar[str] = "asset.show"
    asset: str


@dataclass(frozen=True, slots=True)
class Assets:
    """A company's assets that the caller may see, at most 500."""

    company: str
    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True)
class ListAssets(Ask[Assets]):
    """The assets of a company."""

    name: ClassVar[str] = "asset.list"
    company: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a document is registered and pledged: exact, similar or none; never to whom."""

    registered: str
    pledged: str


@dataclass(frozen=True, slots=True)
class CheckAsset(Ask[Checked]):
    """Ask about a document before lending on it."""

    name: ClassVar[str] = "asset.check"
    company: str
    asset_kind: str
    document_no: str
    day: int
    counterparty: str | None = None
    amount_fen: int | None = None
    currency: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the parameters, in which the asset's kind is called `kind`."""
        return _with_kind(Ask.body(self))


def _with_kind(body: dict[str, Any]) -> dict[str, Any]:
    return {"kind" if name == "asset_kind" else name: value for name, value in body.items()}
