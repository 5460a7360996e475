"""Receipts: everybody who sent something waits for the same few blocks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ledger.chain.receipt import decode_receipt, verify_receipt
from ledger.storage.chain_store import ChainStore
from network.certificates import ClientIdentity
from network.runtime.service import RECEIPT_BLOCKS, Service
from network.wire import Request
from tests.audit.chain import CertifiedChain
from tests.ledger_harness import company_code
from tests.network.support import run

HERE = ClientIdentity("D01", "cli")


class CountedChain(ChainStore):
    """A chain that tells which blocks were read, one entry each time."""

    def __init__(self, chain: CertifiedChain) -> None:
        super().__init__(chain.store)
        self.read: list[int] = []

    def block(self, height: int) -> Any:
        """Return the block, and note it."""
        self.read.append(height)
        return super().block(height)


def make_service(chain: CertifiedChain, counted: CountedChain) -> Service:
    head = chain.head
    keeper = SimpleNamespace(certified_height=head.height, head=head)
    history = SimpleNamespace(
        validators=lambda _epoch: chain.genesis.validator_keys(), changes_until=lambda _epoch: ()
    )
    parts: Any = SimpleNamespace(chain=counted, keeper=keeper, history=history)
    return Service(parts)


def test_block_is_read_once_for_all_its_receipts() -> None:
    chain = CertifiedChain()
    sent = [chain.bind(company_code(number)) for number in range(20)]
    chain.block(*sent)
    counted = CountedChain(chain)
    service = make_service(chain, counted)

    async def main() -> None:
        for index, item in enumerate(sent):
            params = {"id": item.id, "wait_ms": 0}
            answer: Any = await service.handle(HERE, Request(1, "receipt", params))
            receipt = decode_receipt(answer["receipt"])
            verify_receipt(receipt, chain.genesis.chain_id, 0, chain.genesis.validator_keys())
            assert (receipt.transaction_id, receipt.index) == (item.id, index)

    run(main)
    assert counted.read == [1]


def test_only_the_last_few_blocks_are_kept_for_receipts() -> None:
    chain = CertifiedChain()
    sent = [chain.bind(company_code(number)) for number in range(RECEIPT_BLOCKS + 1)]
    for item in sent:
        chain.block(item)
    counted = CountedChain(chain)
    service = make_service(chain, counted)

    async def main() -> None:
        for item in (*sent, sent[-1], sent[0]):
            await service.handle(HERE, Request(1, "receipt", {"id": item.id, "wait_ms": 0}))

    run(main)
    assert counted.read == [*range(1, RECEIPT_BLOCKS + 2), 1]
