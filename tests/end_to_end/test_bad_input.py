"""Bad input of every kind meets a real network: one clear error with its number, no harm done.

Each test hands one kind of bad input to four node processes or to the command line, looks at the
number, the sentence and the exit code, and the fixture below checks afterwards that all nodes run,
agree on one block, and still take a good transaction.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from commands.frame import Exit
from commands.local.processes import find_free_ports, send_signal
from ledger.encoding import decode, encode
from ledger.errors import Code
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from ledger.transactions.envelope import Transaction, sign_transaction
from ledger.transactions.records import Record, encode_record, record_digest, records_root
from network.client import NodeError
from network.wire import CLIENT_FRAME_BYTES_MAX
from tests.end_to_end.province import BASE_PORT, Province

MINUTE_MS = 60_000
DAY = 18_000
PRODUCTS = Path(__file__).parents[2] / "genesis" / "demo" / "products"


@pytest.fixture(autouse=True)
def _unharmed(province: Province) -> Iterator[None]:
    """After every test: nothing lost, nothing half done, and the network goes on."""
    yield
    province.check_well()


def make_transaction(province: Province, **changes: Any) -> Transaction:
    """Return a transaction that binds a new company, signed by the registrar, with changes."""
    body = province.new_company()[2]
    client = province.client("D01")
    profile, now_ms = client.profile, client.head().clock_ms
    assert profile.signing_key is not None
    key = changes.pop("key", profile.signing_key)
    parts: dict[str, Any] = {
        "chain_id": profile.chain_id,
        "sender": "D01",
        "nonce": os.urandom(16),
        "expires_at_ms": now_ms + 10 * MINUTE_MS,
        "kind": "company.bind",
        "body": body,
    }
    return sign_transaction(key, **(parts | changes))


def hand_in(province: Province, wire: bytes, node: str = "D02") -> tuple[int, Any]:
    """Return what one node says to wire bytes."""
    with province.raw("D02", node) as link:
        return link.call("submit", {"tx": wire})


def result_of(province: Province, transaction: Transaction) -> tuple[int, str]:
    """Return code and sentence of a transaction's certified result."""
    client = province.client("D01")
    code, data = client.submit_until_certified(transaction).result
    return code, str(data.get("error", "")) if isinstance(data, dict) else ""


def records(province: Province, sender: str, category: str, *items: Record) -> tuple[int, str]:
    """Submit records of the main schema and return code and sentence of the result."""
    attachments = tuple(encode_record(item) for item in items)
    digests = [record_digest(item) for item in attachments]
    body = {
        "category": category,
        "schema": "",
        "version": 1,
        "count": len(items),
        "root": records_root(digests),
    }
    client = province.client(sender)
    code, data = client.submit_kind("records.submit", body, attachments).result
    return code, str(data.get("error", "")) if isinstance(data, dict) else ""


def report(company: str, **changes: Any) -> Record:
    """Return a record of C014: the annual report of a company."""
    fields = {
        "report_year": 2018,
        "operating_status": "open",
        "employee_count": 5,
        "contact_address": "1 Zhongshan Road",
        "has_web_shop": False,
        "has_equity_transfer": False,
        "filed_on": DAY,
    }
    return Record(company, DAY, fields | changes, salt=None)


# Frames


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        (b"\x00\x00\x00\x00", Code.FRAME_MALFORMED, "frame of 0 bytes"),
        (b"\x00\x00\x00\x01\xc1", Code.ENCODING_MALFORMED, "not one msgpack value"),
        (b"\x00\x00\x00\x01\xc0", Code.REQUEST_MALFORMED, "not a list of 3 parts"),
        (b"GET / HTTP/1.1\r\n\r\n", Code.FRAME_TOO_LARGE, "want at most 2097152"),
        (
            (CLIENT_FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
            Code.FRAME_TOO_LARGE,
            "frame of 2097153 bytes, want at most 2097152",
        ),
        (b"\x00\x00\x00\x08\x93\xcd\x00\x01\xa1x\x80\x00", Code.ENCODING_MALFORMED, "extra data"),
        (b"\x00\x00\x00\x07\x93\xcd\x00\x01\xa1x\x80", Code.ENCODING_NOT_CANONICAL, "canonical"),
    ],
)
def test_bad_frame_is_answered_and_the_link_closed(
    province: Province, sent: bytes, code: Code, text: str
) -> None:
    with province.raw() as link:
        link.send_bytes(sent)
        answer = link.receive_answer()
        assert answer[:3] == (0, False, code)
        assert text in answer[3]
        assert link.receive_answer() is None


def test_cut_frame_and_silence_harm_nobody(province: Province) -> None:
    links = [province.raw() for _ in range(5)]
    for link in links:
        link.send_bytes(b"\x00\x00\x10\x00half a frame")
    with province.raw() as other:
        assert other.call("head", {})[0] == Code.OK
    for link in links:
        link.close()


def test_program_without_a_certificate_of_a_member_is_cut_off(province: Province) -> None:
    with province.plain_socket("D02") as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):  # reset, or ended: both are refusals
            assert b"creditledger" not in plain.recv(1024)


# Transactions at the door


def test_wrong_signature_is_refused_each_time_alike(province: Province) -> None:
    good = make_transaction(province)
    unsigned, signature = good.unsigned, bytearray(good.signature)
    signature[3] ^= 1
    wire = encode((unsigned, bytes(signature), ()))
    first = hand_in(province, wire)
    assert first[0] == Code.SIGNATURE_INVALID
    assert hand_in(province, wire) == first
    assert result_of(province, good) == (Code.OK, "")


def test_transaction_that_is_not_canonical_is_refused(province: Province) -> None:
    wire = make_transaction(province).encoded()
    assert hand_in(province, wire + b"\x00")[0] == Code.ENCODING_MALFORMED
    wide = b"\xdc\x00\x03" + wire[1:]  # the same list of three, its length written too wide
    assert hand_in(province, wide) == (
        Code.ENCODING_NOT_CANONICAL,
        "not the canonical encoding of its value",
    )


def test_transaction_of_another_chain_is_refused(province: Province) -> None:
    transaction = make_transaction(province, chain_id=bytes(32))
    assert hand_in(province, transaction.encoded())[0] == Code.WRONG_CHAIN


def test_expired_and_too_distant_transactions_are_refused(province: Province) -> None:
    expired = make_transaction(province, expires_at_ms=1)
    assert hand_in(province, expired.encoded())[0] == Code.TX_EXPIRED_AT_DOOR
    distant = make_transaction(province, expires_at_ms=2**62)
    assert hand_in(province, distant.encoded())[0] == Code.TX_EXPIRY_TOO_FAR


def test_too_large_transaction_is_refused(province: Province) -> None:
    huge = encode((bytes(1024 * 1024), bytes(64), ()))
    assert hand_in(province, huge)[0] == Code.TX_TOO_LARGE
    numerous = encode((encode((1,) * 100_000), bytes(64), ()))
    assert hand_in(province, numerous) == (Code.ENCODING_SIZE, "more than 8192 items")


def test_repeated_transaction_gets_its_first_answer(province: Province) -> None:
    transaction = make_transaction(province)
    client = province.client("D01")
    first = client.submit_until_certified(transaction)
    assert first.result[0] == Code.OK
    for node in ("D02", "D18", "icbc-gd"):
        assert hand_in(province, transaction.encoded(), node)[0] == Code.OK
    again = client.submit_until_certified(transaction)
    (fate,) = client.fate([transaction.id])
    assert again.encoded() == first.encoded()
    assert (fate.code, fate.height) == (Code.OK, first.header.height)


def test_attachment_that_was_exchanged_is_refused(province: Province) -> None:
    company = province.new_company()[0]
    item, other = encode_record(report(company)), encode_record(report(company, x=1))
    body = {
        "category": "C014",
        "schema": "",
        "version": 1,
        "count": 1,
        "root": records_root([record_digest(item)]),
    }
    transaction = make_transaction(province, kind="records.submit", body=body, attachments=(other,))
    assert hand_in(province, transaction.encoded())[0] == Code.ATTACHMENT_MISMATCH


# Senders and keys


def test_unknown_sender_and_unknown_key_are_rejected(province: Province) -> None:
    stranger = make_transaction(province, sender="D99", key=SigningKey(bytes(31) + b"\x63"))
    assert result_of(province, stranger)[0] == Code.SENDER_UNKNOWN
    borrowed = make_transaction(province, key=SigningKey(bytes(31) + b"\x64"))
    assert result_of(province, borrowed)[0] == Code.KEY_NOT_SENDERS


def test_revoked_key_is_rejected(province: Province) -> None:
    company, key, body = province.new_company()
    other = SigningKey(bytes(31) + b"\x65")
    assert province.send("D01", "company.bind", body).result[0] == Code.OK
    bound = province.send("D01", "company.bind", body | {"public_key": other.public_key})
    assert bound.result == (Code.OK, {"company": company, "replaced": True})
    old = make_transaction(
        province, sender=company, key=key, kind="consent.revoke", body={"consent": "00" * 16}
    )
    code, text = result_of(province, old)
    assert (code, text) == (Code.KEY_REVOKED, f"key of company {company} was revoked")


def test_unknown_kind_and_malformed_body_are_rejected(province: Province) -> None:
    assert province.send("D02", "records.delete", {}).result[0] == Code.KIND_UNKNOWN
    assert province.send("D01", "company.bind", {"x": 1}).result[0] == Code.BODY_MALFORMED


# Records


def test_category_of_another_department_is_rejected(province: Province) -> None:
    company = province.new_company()[0]
    code, text = records(province, "D02", "C014", report(company))
    assert (code, text) == (Code.CATEGORY_NOT_OWNED, "category C014 is D01's, not the sender's")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"employee_count": "five"}, Code.RECORD_FIELD_TYPE, "employee_count"),
        ({"employee_count": True}, Code.RECORD_FIELD_TYPE, "employee_count"),
        ({"employee_count": 2**64 - 1}, Code.RECORD_FIELD_RANGE, "employee_count"),
        ({"unheard_of": 1}, Code.RECORD_FIELD_UNKNOWN, "unheard_of"),
    ],
)
def test_field_of_a_wrong_type_is_rejected_by_name(
    province: Province, changes: dict[str, Any], code: Code, field: str
) -> None:
    company = province.new_company()[0]
    good, bad = report(company, report_year=2017), report(company, **changes)
    got, text = records(province, "D01", "C014", good, bad)
    assert got == code
    assert "record 1" in text
    assert field in text
    client = province.client("D01")
    shown = client.query("company.show", {"company": company})
    assert shown["log_size"] == 0, "half of a rejected batch went in"


def test_code_with_a_bad_check_character_is_rejected(province: Province) -> None:
    company = province.new_company()[0]
    wrong = company[:-1] + ("0" if company[-1] != "0" else "1")
    code, text = records(province, "D01", "C014", report(wrong))
    assert code == Code.USCC_CHECK_DIGIT
    assert wrong in text
    told = province.command("company", "show", wrong, "--as", "D01")
    check_line(told, Exit.REFUSED, "E2203", f"want {company[-1]}")


def test_negative_amount_is_rejected(province: Province) -> None:
    company, key, body = province.new_company()
    assert province.send("D01", "company.bind", body).result[0] == Code.OK
    bill = {
        "company": company,
        "kind": "receivable",
        "document_no": "R-1",
        "day": DAY,
        "counterparty": province.new_company()[0],
        "amount_fen": -1,
    }
    asset = make_transaction(province, sender=company, key=key, kind="asset.register", body=bill)
    code, text = result_of(province, asset)
    assert code in (Code.AMOUNT_NOT_POSITIVE, Code.BODY_MALFORMED)
    assert "amount_fen" in text
    wish = {"company": company, "product": "X/1", "amount_fen": -5, "term_days": 30}
    loan = make_transaction(province, sender=company, key=key, kind="loan.apply", body=wish)
    code, text = result_of(province, loan)
    assert code in (Code.AMOUNT_NOT_POSITIVE, Code.BODY_MALFORMED)
    arguments = ("loan", "apply", company, "X/1", "--amount=-5.00", "--days", "30", "--as", "D01")
    check_line(province.command(*arguments), Exit.USAGE, "E8004", "-5.00")


# The command line


def check_line(result: Result, want: Exit, number: str, *words: str) -> None:
    """Check that a command left with an exit code, and one line that begins with its number."""
    assert result.exit_code == want, result.stderr
    assert result.stderr.startswith(f"error {number}: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_rule_that_does_not_check_is_refused_with_its_place(
    province: Province, tmp_path: Path
) -> None:
    source = (PRODUCTS / "trade.toml").read_text(encoding="utf-8")
    file = tmp_path / "trade.toml"
    file.write_text(source.replace("co.export_declarations_12m >= 12", "co.staff >= yuan(12)"))
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "_declarations_12m" in text)
    told = province.command("product", "check", file)
    check_line(told, Exit.REFUSED, "E2501", f"E3003 line {line}, column 18: co.staff is a count")
    told = province.command("product", "register", file, "--as", "pab-gd")
    check_line(told, Exit.REFUSED, "E2501", f"E3003 line {line}, column 18: ", "transaction ")


def test_application_without_authorisation_is_refused(province: Province) -> None:
    company, key, body = province.new_company()
    assert province.send("D01", "company.bind", body).result[0] == Code.OK
    told = province.command("product", "register", PRODUCTS / "trade.toml", "--as", "pab-gd")
    assert told.exit_code == Exit.OK, told.stderr
    wish = {
        "company": company,
        "product": "GD-EXP-0001/1",
        "amount_fen": 100_000_00,
        "term_days": 30,
    }
    loan = make_transaction(province, sender=company, key=key, kind="loan.apply", body=wish)
    assert result_of(province, loan)[0] == Code.CONSENT_MISSING


def test_genesis_that_does_not_parse_is_refused(province: Province, tmp_path: Path) -> None:
    data = (province.net / "genesis.bin").read_bytes()
    file = tmp_path / "genesis.bin"
    for bad, number in ((data[:-1], "E7001"), (data + b"\x00", "E7001"), (b"\x80", "E7001")):
        file.write_bytes(bad)
        told = province.command("genesis", "verify", file)
        check_line(told, Exit.REFUSED, number)
        home = tmp_path / "home"
        keys = province.net / "members" / "D02"
        told = province.command(
            *("init", "--home", home, "--genesis", file, "--member", "D02", "--keys", keys),
            *("--listen", "127.0.0.1:9"),
        )
        assert told.exit_code == Exit.REFUSED
        assert told.stderr.startswith(f"error {number}: ")
        assert not home.exists()


def test_csv_with_a_bad_line_names_it(province: Province, tmp_path: Path) -> None:
    company, other = province.new_company()[0], province.new_company()[0]
    file = tmp_path / "staff.csv"
    columns = "operating_status,contact_address,has_web_shop,has_equity_transfer,filed_on"
    rest = "open,1 Zhongshan Road,false,false,2019-03-01"
    rows = [f"{company},2018,5,{rest}", f"{other},2018,many,{rest}", ""]
    file.write_text("\n".join([f"company,report_year,employee_count,{columns}", *rows]))
    command = ("submit", file, "--category", "C014", "--as", "D01", "--progress-file")
    stopped = province.command(*command, tmp_path / "p1")
    check_line(stopped, Exit.REFUSED, "E8002", "line 3", "employee_count", "nothing was submitted")
    client = province.client("D01")
    assert client.query("company.show", {"company": company})["log_size"] == 0
    skipped = province.command(*command, tmp_path / "p2", "--on-error", "skip")
    check_line(skipped, Exit.REFUSED, "E8002", "line 3", "employee_count")
    assert re.search(r"records +1 accepted", skipped.stdout)
    assert client.query("company.show", {"company": company})["log_size"] == 1
    assert client.query("company.show", {"company": other})["log_size"] == 0


# Homes, ports, disks


def run_node(home: Path) -> tuple[int, str]:
    """Run a node that cannot run; return its exit code and its last line."""
    done = subprocess.run(  # noqa: S603  our own interpreter, our own module
        [sys.executable, "-m", "node", "run", "--home", str(home)],
        capture_output=True,
        timeout=600,
        check=False,
    )
    lines = done.stderr.decode().strip().splitlines()
    return done.returncode, lines[-1] if lines else ""


def test_home_that_is_in_use_is_locked(province: Province) -> None:
    code, line = run_node(province.home("D18"))
    assert code == Exit.STORAGE
    assert line.startswith("error E6101: home ")


def test_home_of_another_chain_is_refused(province: Province, tmp_path: Path) -> None:
    home = tmp_path / "home"
    entry = province.network.node("D18")
    told = province.command(
        *("init", "--home", home, "--genesis", province.net / "genesis.bin", "--member", "D18"),
        *("--keys", province.net / "members" / "D18", "--listen", entry.address),
    )
    assert told.exit_code == Exit.OK, told.stderr
    taken = shutil.copytree(home, tmp_path / "other")
    code, line = run_node(home)
    assert code == Exit.NETWORK
    assert line.startswith(f"error E5009: port {entry.address.rpartition(':')[2]} ")
    genesis = province.genesis
    other = encode({**decode(genesis.data), "name": "another network"})
    assert parse_genesis(other).chain_id != genesis.chain_id
    (taken / "genesis.bin").write_bytes(other)
    code, line = run_node(taken)
    assert code == Exit.STORAGE
    assert line.startswith("error E6102: ")
    assert genesis.chain_id.hex() in line


def test_metrics_port_in_use_is_named(province: Province, tmp_path: Path) -> None:
    home = tmp_path / "home"
    entry = province.network.node("D18")
    told = province.command(
        *("init", "--home", home, "--genesis", province.net / "genesis.bin", "--member", "D18"),
        *(
            "--keys",
            province.net / "members" / "D18",
            "--listen",
            f"127.0.0.1:{find_free_ports(1, BASE_PORT + 40)}",
        ),
        *("--metrics", entry.metrics),
    )
    assert told.exit_code == Exit.OK, told.stderr
    code, line = run_node(home)
    assert code == Exit.NETWORK
    assert line.startswith("error E5009: ")
    assert entry.metrics.rpartition(":")[2] in line


def wait_until_up(node: subprocess.Popen[bytes]) -> None:
    """Return when the node's log says that it is up."""
    assert node.stderr is not None
    for line in node.stderr:
        if b'"node is up"' in line:
            return
    raise AssertionError("the node ended at its start")


def test_full_disk_stops_one_node_and_loses_nothing(province: Province) -> None:
    """No file of the node may grow any more, as on a full disk or at the end of a quota."""
    home = province.home("icbc-gd")
    send_signal(province.network.node("icbc-gd").process, signal.SIGTERM, 120)
    node = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
        [sys.executable, "-m", "node", "run", "--home", str(home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until_up(node)
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        before = province.send("D01", "company.bind", province.new_company()[2])
        _, output = node.communicate(timeout=600)
    finally:
        node.kill()
    assert node.returncode == Exit.STORAGE
    last = output.decode().strip().splitlines()[-1]
    assert last.startswith("error E6003: ")
    assert "free" in last
    province.restart("icbc-gd")
    height = before.header.height
    assert province.block_hash("icbc-gd", height) == before.header.hash()


def test_node_that_refuses_says_so_with_a_number(province: Province) -> None:
    with pytest.raises(NodeError) as caught:
        province.client("D02").query("no.such.query")
    assert caught.value.code is Code.REQUEST_UNKNOWN
