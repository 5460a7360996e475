"""A certified chain made by execution, in a store or in a home: what an auditor is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.epochs import Validators
from ledger.chain.header import Header
from ledger.chain.receipt import Receipt, build_receipt
from ledger.execution import ExecutedBlock, execute_genesis
from ledger.keys import SigningKey
from ledger.membership.epoch_state import get_epoch_start
from ledger.membership.queries import get_epoch_changes
from ledger.storage.chain_store import CERTIFICATES, ChainStore, certificate_writes, height_key
from ledger.storage.home import create_home, open_home
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import Record
from tests.ledger.governance import Governance
from tests.ledger_harness import GENESIS_DAY, HOUR_MS, Harness, company_code, key_of


class CertifiedChain(Harness):
    """A harness whose transactions expire in time and whose blocks get certificates."""

    def sign(self, *args: Any, expires_in_ms: int = HOUR_MS, **named: Any) -> Transaction:
        return super().sign(*args, expires_in_ms=expires_in_ms, **named)

    def block(
        self, *transactions: Transaction, time_ms: int | None = None, is_certified: bool = True
    ) -> ExecutedBlock:
        executed = super().block(*transactions, time_ms=time_ms)
        without = {height_key(CERTIFICATES, executed.header.height): None}
        writes = certificate_writes(self.certify(executed.header)) if is_certified else without
        self.store.write(writes, sync=True)
        return executed

    def certify(self, header: Header, signers: Iterable[int] | None = None) -> Certificate:
        """Return the certificate of a header, of the first Q of its epoch unless told otherwise."""
        epoch, validators = header.epoch, self.validators_of(header.epoch)
        chosen = range(quorum(len(validators))) if signers is None else signers
        block_hash, chain_id = header.hash(), self.genesis.chain_id
        votes = tuple(
            (
                signer,
                node_key(*validators[signer]).sign(
                    checkpoint_signing_input(chain_id, epoch, header.height, block_hash, signer)
                ),
            )
            for signer in chosen
        )
        return Certificate(epoch, header.height, block_hash, votes)

    def validators_of(self, epoch: int) -> Validators:
        """Return who votes in an epoch."""
        start = get_epoch_start(self.state(), epoch)
        return self.genesis.validator_keys() if start is None else start.validators


class GovernedChain(Governance, CertifiedChain):
    """A certified chain whose members change by their vote."""


def node_key(member: str, public_key: bytes) -> SigningKey:
    """Return the key of a member's node: its first, its second, or one of those of no name."""
    names = [f"node:{member}", f"node:{member}.2", *(f"key{number}" for number in range(6))]
    return next(key for key in map(key_of, names) if key.public_key == public_key)


def governed_chain(**settings: Any) -> GovernedChain:
    """Return a chain of three epochs: ICBC votes from the second on, D02 has a new key after."""
    chain = GovernedChain(settings=settings)
    chain.block(chain.submit("D02", "C048", [arrears(1, 100)]))
    chain.observe("ICBC")
    chain.decide("D01", "promote", "ICBC")
    chain.settle()
    chain.block(chain.submit("D02", "C048", [arrears(2, 200)]))
    chain.decide("D01", "rotate_node_key", "D02", key="node:D02.2")
    chain.settle()
    chain.block(chain.submit("D02", "C048", [arrears(3, 300)]))
    return chain


def receipt_of(chain: GovernedChain, height: int, index: int = 0) -> Receipt:
    """Return the receipt of a transaction of a certified block."""
    store = ChainStore(chain.store)
    block, certificate = store.block(height), store.certificate(height)
    assert block is not None
    assert certificate is not None
    epoch = certificate.epoch
    changes = get_epoch_changes(chain.state(), store, 0, epoch)
    return build_receipt(block, index, certificate, chain.validators_of(epoch), changes)


def arrears(number: int, amount: int) -> Record:
    """Return one record of the category C048."""
    return Record(company_code(number), GENESIS_DAY - 9, {"arrears": amount})


def filled_chain() -> CertifiedChain:
    """Return a chain of six blocks: records, bindings, a duplicate, a rejection, an empty one."""
    chain = CertifiedChain()
    first = chain.submit("D02", "C048", [arrears(i, 100 + i) for i in range(3)])
    chain.block(first, chain.bind(company_code(1)))
    chain.block(chain.submit("D02", "C048", [arrears(4, 7)]), first)
    chain.block()
    chain.block(
        chain.submit("D20", "C048", [arrears(5, 8)]),
        chain.bind(company_code(2)),
        chain.submit("D02", "C048", [arrears(1, 9), arrears(2, 10)]),
    )
    chain.block(chain.bind(company_code(3)))
    chain.block(chain.bind(company_code(4)), is_certified=False)
    return chain


def write_home(chain: CertifiedChain, folder: Path) -> Path:
    """Write the chain as the home of member D01's node."""
    key = key_of("node:D01").public_key
    create_home(
        folder,
        config="[node]\n",
        genesis=chain.genesis.data,
        keys={"node.key": b"secret"},
        node_public_key=key,
        database=execute_genesis(chain.genesis).writes,
    )
    with open_home(folder) as home:
        home.store.write(dict(chain.store.scan(b"", b"\xff")), sync=True)
        votes = home.open_votes(key)
        votes.append([b"a vote"])
        votes.close()
    return folder
