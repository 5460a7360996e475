"""Certificates name a member, and only that member can have issued them (F67)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from ledger.errors import Code, LocalError, Refused
from network import certificates as certs
from network.certificates import ClientIdentity, NodeIdentity
from tests.network.support import LONG_AGO, Consortium


@pytest.mark.parametrize(
    "identity",
    [NodeIdentity("tax"), ClientIdentity("tax", "cli"), ClientIdentity("tax", "a.b-c_1")],
)
def test_leaf_names_whom_it_was_issued_for(
    consortium: Consortium, identity: certs.Identity
) -> None:
    certificate, _ = consortium.files(identity)
    leaf = certs.load_certificate(certificate)
    assert certs.verify_identity(leaf, consortium.anchors) == identity


def test_member_cannot_issue_for_another(consortium: Consortium) -> None:
    forged = certs.make_member_certificate(consortium.seeds["transport"], "tax", consortium.now)
    leaf = certs.issue_certificate(
        forged,
        consortium.seeds["transport"],
        NodeIdentity("tax"),
        certs.public_key_of(forged),
        consortium.now,
    )
    with pytest.raises(Refused, match="names tax, who did not issue it") as refusal:
        certs.verify_identity(leaf, consortium.anchors)
    assert refusal.value.code == Code.TLS_REFUSED


def test_stranger_is_no_member(consortium: Consortium) -> None:
    own = certs.make_member_certificate(b"s" * 32, "stranger", consortium.now)
    leaf = certs.issue_certificate(
        own, b"s" * 32, NodeIdentity("stranger"), certs.public_key_of(own), consortium.now
    )
    with pytest.raises(Refused, match="stranger, who is no member"):
        certs.verify_identity(leaf, consortium.anchors)


def test_member_certificate_is_no_leaf(consortium: Consortium) -> None:
    with pytest.raises(Refused, match="no readable subject name"):
        certs.verify_identity(consortium.certificates["tax"], consortium.anchors)


@pytest.mark.parametrize("data", [b"", b"\x30\x82", b"x" * 100, bytes(70_000)])
def test_bytes_that_are_no_certificate_are_refused(consortium: Consortium, data: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        certs.verify_identity(data, consortium.anchors)
    assert refusal.value.code == Code.TLS_REFUSED


def test_two_anchors_while_a_key_rotates(consortium: Consortium) -> None:
    new = certs.make_member_certificate(b"n" * 32, "tax", consortium.now)
    anchors = {"tax": (*consortium.anchors["tax"], new)}
    leaf = certs.issue_certificate(
        new, b"n" * 32, NodeIdentity("tax"), certs.public_key_of(new), consortium.now
    )
    assert certs.verify_identity(leaf, anchors) == NodeIdentity("tax")


def test_member_certificate_is_deterministic(consortium: Consortium) -> None:
    first = certs.make_member_certificate(b"k" * 32, "tax", LONG_AGO)
    assert certs.make_member_certificate(b"k" * 32, "tax", LONG_AGO) == first
    assert certs.make_member_certificate(b"k" * 32, "tax", LONG_AGO, days=9) != first
    assert certs.expires_at(first) == LONG_AGO + timedelta(days=certs.MEMBER_DAYS)


def test_issuing_with_another_members_key_is_our_error(consortium: Consortium) -> None:
    with pytest.raises(LocalError, match="not those of tax"):
        certs.issue_certificate(
            consortium.certificates["tax"],
            consortium.seeds["transport"],
            NodeIdentity("tax"),
            certs.public_key_of(consortium.certificates["tax"]),
            consortium.now,
        )


@pytest.mark.parametrize("password", [None, b"correct horse"])
def test_key_file_returns_its_seed(tmp_path: Path, password: bytes | None) -> None:
    path = tmp_path / "keys" / "member.key"
    certs.save_key(path, b"q" * 32, password)
    assert certs.load_key(path, password) == b"q" * 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in path.read_bytes()) == (password is not None)


def test_key_file_refuses_with_what_to_do(tmp_path: Path) -> None:
    locked, plain = tmp_path / "locked.key", tmp_path / "plain.key"
    certs.save_key(locked, b"q" * 32, b"right")
    certs.save_key(plain, b"q" * 32)
    cases = [
        (locked, None, "give its password"),
        (locked, b"wrong", "wrong password or damaged file"),
        (tmp_path / "absent.key", None, "No such file"),
    ]
    for path, password, text in cases:
        with pytest.raises(LocalError, match=text) as failure:
            certs.load_key(path, password)
        assert failure.value.code == Code.KEY_FILE
    plain.chmod(0o644)
    with pytest.raises(LocalError, match="chmod 600"):
        certs.load_key(plain)
    plain.write_bytes(b"-----BEGIN NOTHING-----")
    plain.chmod(0o600)
    with pytest.raises(LocalError, match="not a PKCS #8 PEM key"):
        certs.load_key(plain)


def test_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "member.key"
    certs.save_key(path, b"q" * 32)
    with pytest.raises(LocalError, match="never overwritten"):
        certs.save_key(path, os.urandom(32))
    assert certs.load_key(path) == b"q" * 32
