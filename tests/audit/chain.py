"""A certified chain made by execution, in a store or in a home: what an auditor is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.header import Header
from ledger.execution import ExecutedBlock, execute_genesis
from ledger.storage.chain_store import certificate_writes
from ledger.storage.home import create_home, open_home
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import Record
from tests.ledger_harness import GENESIS_DAY, HOUR_MS, Harness, company_code, key_of


class CertifiedChain(Harness):
    """A harness whose transactions expire in time and whose blocks get certificates."""

    def sign(self, *args: Any, expires_in_ms: int = HOUR_MS, **named: Any) -> Transaction:
        return super().sign(*args, expires_in_ms=expires_in_ms, **named)

    def block(
        self, *transactions: Transaction, time_ms: int | None = None, is_certified: bool = True
    ) -> ExecutedBlock:
        executed = super().block(*transactions, time_ms=time_ms)
        if is_certified:
            self.store.write(certificate_writes(self.certify(executed.header)), sync=True)
        return executed

    def certify(self, header: Header, signers: Iterable[int] | None = None) -> Certificate:
        """Return the certificate of a header, of the first Q members unless told otherwise."""
        validators = self.genesis.validator_keys()
        chosen = range(quorum(len(validators))) if signers is None else signers
        block_hash, chain_id = header.hash(), self.genesis.chain_id
        votes = tuple(
            (
                signer,
                key_of(f"node:{validators[signer][0]}").sign(
                    checkpoint_signing_input(chain_id, 0, header.height, block_hash, signer)
                ),
            )
            for signer in chosen
        )
        return Certificate(0, header.height, block_hash, votes)


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
