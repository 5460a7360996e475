"""What a matched snapshot comes to, for people and for programs."""

from __future__ import annotations

from typing import Any

from analytics.matching.counts import Counts
from analytics.matching.plan import Offer, Plan, Result

_DECLINES = (Result.DECLINE_CONDITION, Result.DECLINE_SCORE, Result.DECLINE_LIMIT)
_REFERS = (Result.REFER_CONDITION, Result.REFER_LIMIT, Result.REFER_AMOUNT)


def summarise(plan: Plan, counts: Counts) -> dict[str, Any]:
    """Return the summary: of the whole, and of each product, most granted first."""
    products = [_summarise_product(offer, counts) for offer in plan.offers]
    products.sort(key=lambda item: (-item["granted"], item["product"]))
    return {
        "companies": counts.companies,
        "asked": dict(plan.constants),
        "grants": sum(item["granted"] for item in products),
        "companies_granted": counts.companies - counts.grants.get(0, 0),
        "grants_a_company": {str(key): held for key, held in sorted(counts.grants.items())},
        "median_grants": _median(counts),
        "products": products,
    }


def _summarise_product(offer: Offer, counts: Counts) -> dict[str, Any]:
    product = offer.product
    # Of no company at all there are no counts.
    results = counts.results.get(product.id, [0] * len(Result))
    reasons = [
        {
            "reason": item.reason,
            "condition": item.id,
            "companies": counts.failed.get(column.name, 0),
        }
        for item, column in zip(product.conditions, offer.conditions, strict=True)
    ]
    bands = sorted({band.reason for band in product.bands if band.rate_bp is None})
    by_score = results[Result.DECLINE_SCORE]
    if by_score:
        reasons.append({"reason": "/".join(bands), "condition": "score", "companies": by_score})
    by_limit = results[Result.DECLINE_LIMIT]
    if by_limit:
        code = product.limit.reason
        reasons.append({"reason": code, "condition": "limit", "companies": by_limit})
    reasons = [item for item in reasons if item["companies"]]
    lacking = counts.lacking.get(product.id, {})
    return {
        "product": product.ref,
        "lender": product.lender,
        "granted": results[Result.GRANT],
        "declined": sum(results[result] for result in _DECLINES),
        "referred": sum(results[result] for result in _REFERS),
        "limits_fen": counts.limits_fen.get(product.id, 0),
        "reasons": sorted(reasons, key=lambda item: -int(item["companies"])),
        "missing": dict(sorted(lacking.items(), key=lambda item: (-item[1], item[0]))),
    }


def _median(counts: Counts) -> int:
    """Return the least number of grants that half of the companies do not exceed."""
    seen = 0
    for grants, companies in sorted(counts.grants.items()):
        seen += companies
        if 2 * seen >= counts.companies:
            return grants
    return 0
