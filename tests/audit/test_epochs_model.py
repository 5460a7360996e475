"""Whatever members do to their membership, the chain audits VALID and every receipt verifies.

The same random lives of a network that `tests/ledger/test_membership_model.py` holds to a naive
model, certified block by block by whoever votes then, are replayed by the auditor (rule 2, F82).
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.replay import audit_store
from ledger.audit.report import Verdict
from ledger.chain.epochs import EpochFollower
from ledger.chain.receipt import verify_receipt_by
from ledger.storage.chain_store import ChainStore
from ledger.storage.memory import MemoryStore
from tests.audit.chain import GovernedChain, receipt_of
from tests.ledger.test_membership_model import ACTS, Pair


def check(chain: GovernedChain) -> int:
    """Audit the chain, verify a receipt of every block; return the epoch that it reached."""
    report = audit_store(chain.store, MemoryStore(), chain.genesis)
    assert report.finding is None
    assert report.verdict is Verdict.VALID
    trusted = EpochFollower(chain.genesis.chain_id, chain.genesis.validator_keys())
    for height in range(1, chain.head.height + 1):
        block = ChainStore(chain.store).block(height)
        if block is not None and block.transactions:
            verify_receipt_by(receipt_of(chain, height), trusted)
    return report.epochs[-1].epoch


@settings(max_examples=12, deadline=None)
@given(st.lists(ACTS, min_size=10, max_size=40))
def test_f82_any_history_of_members_audits_and_its_receipts_verify(
    acts: list[tuple[Any, ...]],
) -> None:
    pair = Pair(GovernedChain())
    for act in acts:
        pair.take(act)
    check(pair.chain)  # type: ignore[arg-type]


def test_a_life_of_five_epochs_audits() -> None:
    """Each change in the block after the last one became active: as fast as the rules allow."""
    pair = Pair(GovernedChain())
    life = [("add_observer", "ICBC", "key1"), ("promote", "ICBC", "")]
    life += [("rotate_node_key", "ICBC", "key2"), ("demote", "D02", ""), ("promote", "D02", "")]
    life += [("remove", "D01", "")]
    for number, (kind, who, key) in enumerate(life):
        pair.take(("propose", "D18", kind, who, key, 1))
        pair.take(("ready", who))
        pair.take(("everybody", number))
        while pair.model.pending is not None:
            pair.take(("blocks", 1))
    pair.take(("blocks", 1))
    assert check(pair.chain) == 5  # type: ignore[arg-type]
