"""Blocks: exactly-once, expiry, senders, failures of a transaction, headers (rules 13–17, 54)."""

import pytest

from ledger import execution
from ledger.chain.batch import Batch, null_batch
from ledger.chain.block import results_root
from ledger.errors import Code, LocalError, StorageError
from ledger.execution import execute_block
from ledger.state.overlay import leaf_key, leaf_value
from ledger.state.tables import MEMBERS
from ledger.state.tree import StateTree, verify_proof
from ledger.storage.chain_store import ChainStore, certificate_writes
from ledger.transactions.envelope import transaction_from_parts
from ledger.transactions.records import Record, check_attachments
from tests.ledger_harness import DAY_MS, GENESIS_DAY, Harness, company_code, key_of


def arrears(number, amount=5):
    return Record(company_code(number), GENESIS_DAY - 9, {"arrears": amount})


def codes(executed):
    return [code for code, _ in executed.results]


def test_empty_and_null_blocks_move_the_chain():
    chain = Harness()
    genesis = chain.head
    first = chain.block()
    assert (first.header.height, first.header.parent_hash) == (1, genesis.hash())
    null = execute_block(chain.store, chain.head, null_batch(2), [])
    assert null.header.time_ms == chain.head.time_ms
    assert null.header.state_root == chain.head.state_root
    assert null.header.parent_hash == chain.head.hash()


def test_time_never_goes_back():
    chain = Harness()
    chain.block(time_ms=chain.head.time_ms + 5000)
    before = chain.head.time_ms
    assert chain.block(time_ms=before - 4000).header.time_ms == before


def test_repeat_gets_duplicate_and_first_fate_stays():
    chain = Harness()
    tx = chain.bind(company_code(1))
    assert codes(chain.block(tx)) == [Code.OK]
    assert codes(chain.block(tx)) == [Code.DUPLICATE]
    assert ChainStore(chain.store).fate(tx.id) == (1, 0, 0)


def test_f78_repeat_inside_a_block_gets_duplicate():
    chain = Harness()
    tx = chain.bind(company_code(1))
    other = chain.bind(company_code(2))
    first = chain.execute([tx, other])
    # The same unsigned bytes under another signature are another entry of the batch (rule 17).
    twin = transaction_from_parts(tx.unsigned, bytes(64), ())
    executed = chain.block(tx, twin)
    assert codes(first) == [Code.OK, Code.OK]
    assert codes(executed) == [Code.OK, Code.DUPLICATE]
    assert ChainStore(chain.store).fate(tx.id) == (1, 0, 0)


def test_expiry_is_by_chain_time_and_final():
    chain = Harness()
    tx = chain.sign("D01", "company.bind", {}, expires_in_ms=1000)
    executed = chain.block(tx, time_ms=chain.head.time_ms + 1000)
    assert codes(executed) == [Code.EXPIRED]
    assert codes(chain.block(tx)) == [Code.DUPLICATE]


@pytest.mark.parametrize(
    ("sender", "signer", "code"),
    [
        ("D77", "D77", Code.SENDER_UNKNOWN),
        (company_code(9), company_code(9), Code.SENDER_UNKNOWN),
        ("D02", "D01", Code.KEY_NOT_SENDERS),
    ],
)
def test_sender_must_be_known_by_its_key(sender, signer, code):
    chain = Harness()
    tx = chain.sign(sender, "company.bind", {}, key=key_of(signer))
    assert chain.run(tx)[0] == code


def test_replaced_company_key_is_revoked():
    chain = Harness()
    company = company_code(1)
    chain.run(chain.bind(company))
    new = {"company": company, "public_key": key_of("another").public_key, "name": "n"}
    assert chain.run(chain.sign("D01", "company.bind", new)) == (
        0,
        {"company": company, "replaced": True},
    )
    assert chain.run(chain.sign(company, "nothing", {}))[0] == Code.KEY_REVOKED
    by_new = chain.sign(company, "nothing", {}, key=key_of("another"))
    assert chain.run(by_new) == (Code.KIND_UNKNOWN, {"error": "kind nothing is not known"})


def test_only_the_registrar_binds():
    chain = Harness()
    body = {"company": company_code(1), "public_key": key_of("x").public_key, "name": "n"}
    assert chain.run(chain.sign("D02", "company.bind", body))[0] == Code.NOT_PERMITTED


@pytest.mark.parametrize(
    ("public_key", "code"),
    [(bytes(32), Code.KEY_WEAK), (b"\xff" * 32, Code.KEY_WEAK), (b"short", Code.BODY_MALFORMED)],
)
def test_weak_key_is_refused(public_key, code):
    chain = Harness()
    body = {"company": company_code(1), "public_key": public_key, "name": "n"}
    assert chain.run(chain.sign("D01", "company.bind", body))[0] == code


def test_legacy_code_is_accepted_by_the_registrar_only():
    chain = Harness()
    legacy = "91350203M0001QAY9B"
    record = Record(legacy, GENESIS_DAY, {"arrears": 1})
    code, data = chain.run(chain.submit("D02", "C048", [record]))
    assert (code, data["error"][:9]) == (Code.USCC_CHECK_DIGIT, "record 0,")
    accept = {"company": legacy, "reason": "seen in the register"}
    assert chain.run(chain.sign("D02", "company.accept_code", accept))[0] == Code.NOT_PERMITTED
    assert chain.run(chain.sign("D01", "company.accept_code", accept))[0] == Code.OK
    assert chain.run(chain.submit("D02", "C048", [record]))[0] == Code.OK


def test_poison_transaction_is_internal_and_leaves_nothing(monkeypatch):
    """Rule 54: any exception gives INTERNAL, drops the overlay, and is noted."""

    def poison(context):
        context.state.put(MEMBERS, b"D99", (1,))
        context.notes.touch(company_code(1), "C048")
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(execution, "HANDLERS", {**execution.HANDLERS, "poison": poison})
    chain = Harness()
    executed = chain.block(chain.sign("D02", "poison", {}), chain.bind(company_code(1)))
    assert codes(executed) == [Code.INTERNAL, Code.OK]
    assert executed.results[0][1] == {
        "error": "the ledger failed on this transaction; it had no effect"
    }
    assert chain.state().get(MEMBERS, b"D99") is None
    assert executed.notes.touched == {}
    assert "boom" in executed.notes.failures[0].text


def test_value_without_encoding_fails_inside_its_transaction(monkeypatch):
    def poison(context):
        context.state.put(MEMBERS, b"D99", 1.5)

    monkeypatch.setattr(execution, "HANDLERS", {**execution.HANDLERS, "poison": poison})
    chain = Harness()
    executed = chain.block(chain.sign("D02", "poison", {}), chain.bind(company_code(1)))
    assert codes(executed) == [Code.INTERNAL, Code.OK]


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("disk"), StorageError(Code.STORE_IO, "disk")]
)
def test_failures_of_the_machine_stop_the_node(monkeypatch, error):
    def fail(context):
        raise error

    monkeypatch.setattr(execution, "HANDLERS", {"fail": fail})
    chain = Harness()
    with pytest.raises(type(error)):
        chain.block(chain.sign("D02", "fail", {}))


def test_header_certifies_results_and_state():
    chain = Harness()
    executed = chain.block(chain.bind(company_code(1)), chain.submit("D02", "C048", [arrears(1)]))
    assert executed.header.results_root == results_root(executed.results)
    assert executed.header.transaction_count == 2
    tree = StateTree(chain.store, executed.header.state_root)
    key = leaf_key(MEMBERS, b"D02")
    value = chain.store.get(MEMBERS.prefix + b"D02")
    verify_proof(executed.header.state_root, key, leaf_value(value), tree.prove(key))


def test_same_block_twice_gives_same_bytes_whatever_the_caches():
    chain = Harness()
    chain.block(chain.submit("D02", "C048", [arrears(n) for n in range(5)]))
    txs = [chain.submit("D02", "C048", [arrears(n, 7)]) for n in range(4)]
    cached = chain.execute(txs)
    digests = {tx.signed_hash: check_attachments(tx) for tx in txs}
    fresh = execute_block(chain.store, chain.head, cached.batch, txs, digests=digests)
    assert fresh.header == cached.header
    assert dict(fresh.writes) == dict(cached.writes)


def test_execution_writes_nothing_itself():
    chain = Harness()
    before = dict(chain.store.snapshot().scan(b"", b"\xff"))
    chain.execute([chain.bind(company_code(1))])
    assert dict(chain.store.snapshot().scan(b"", b"\xff")) == before


def test_wrong_height_or_transactions_are_the_callers_fault():
    chain = Harness()
    with pytest.raises(LocalError):
        execute_block(chain.store, chain.head, Batch(2, 1, ()), [])
    with pytest.raises(LocalError):
        execute_block(chain.store, chain.head, Batch(1, 1, (bytes(32),)), [])


def test_replay_from_genesis_reaches_the_same_state():
    chain = Harness()
    blocks = [
        chain.block(chain.bind(company_code(1))),
        chain.block(chain.submit("D02", "C048", [arrears(1), arrears(2)])),
        chain.block(chain.submit("D01", "C048", [arrears(1)]), time_ms=chain.head.time_ms + DAY_MS),
    ]
    replica = Harness()
    for block in blocks:
        again = execute_block(replica.store, replica.head, block.batch, block.transactions)
        assert again.header == block.header
        replica.store.write(again.writes, sync=True)
        replica.head = again.header
        replica.store.write(certificate_writes(replica.certify(again.header)), sync=True)
    assert dict(replica.store.scan(b"", b"\xff")) == dict(chain.store.scan(b"", b"\xff"))
