"""Runs published test vectors: `python -m tests.vectors.runner DIR`.

Any folder laid out like the project's shared vectors: JSON files below ed25519, merkle, msgpack and
cel. What a file holds is told from the shape of its content, not from its name, so more files of
the same kinds just run. Prints passed and failed for each file, names the sets that are absent
(which is no failure) and the files that nothing here can read (which is one), and returns how many
failed.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from ledger.chain import merkle
from ledger.chain.subtree import verify_subtree_consistency, verify_subtree_inclusion
from ledger.encoding import decode, encode
from ledger.errors import Refused
from ledger.keys import SigningKey, check_public_key, is_valid
from tests.twins import naive_encode, naive_verify

SETS = ("ed25519", "merkle", "msgpack", "cel")
_SHOWN_FAILURES = 5

# One case: its name, and why it failed (None: it passed).
Outcome: TypeAlias = tuple[str, str | None]


@dataclass(slots=True)
class FileResult:
    """What became of one file; `kind` None: nothing here can read it."""

    name: str
    kind: str | None
    passed: int = 0
    failures: list[Outcome] = field(default_factory=list)


class _ShapeError(Exception):
    """The content is not of a kind that is known."""


def run_file(path: Path, name: str) -> FileResult:
    """Run all cases of a file."""
    try:
        kind, outcomes = _recognise(json.loads(path.read_text(encoding="utf-8")))
    except (_ShapeError, ValueError) as error:
        return FileResult(name, None, 0, [(name, f"not recognised: {error}")])
    result = FileResult(name, kind)
    for case, reason in outcomes:
        if reason is None:
            result.passed += 1
        else:
            result.failures.append((case, reason))
    return result


def run_folder(folder: Path) -> list[FileResult]:
    """Run every JSON file below the folder."""
    files = sorted(folder.rglob("*.json"))
    return [run_file(path, path.relative_to(folder).as_posix()) for path in files]


def _recognise(content: Any) -> tuple[str, Iterator[Outcome]]:
    """Return the kind of a file by its shape, and its cases."""
    if isinstance(content, Mapping):
        return _recognise_map(content)
    if not isinstance(content, list) or not content:
        raise _ShapeError("neither a map nor a list of cases")
    if all(isinstance(item, str) for item in content):
        return "small-order encodings", _small_order(content)
    first = content[0]
    if not isinstance(first, Mapping):
        raise _ShapeError("cases are not maps")
    keys = set(first)
    if "expr" in keys:
        return "CEL", _cel(content)
    if keys & {"leafHash", "root1"}:
        return "Merkle proofs", _proofs(content)
    if keys & _SIGNATURE_KEYS and keys & _PUBLIC_KEYS:
        return "Ed25519 cases", _signature_cases(content)
    if "hex" in keys:
        return "strict msgpack", _strict(content)
    if "msgpack" in keys:
        return "msgpack suite", _suite({"": content})
    raise _ShapeError(f"cases with the keys {', '.join(sorted(keys))}")


def _recognise_map(content: Mapping[str, Any]) -> tuple[str, Iterator[Outcome]]:
    if "testGroups" in content:
        return "Wycheproof Ed25519", _wycheproof(content["testGroups"])
    if "leaves_hex" in content:
        return "Merkle tree", _reference_tree(content)
    for name in ("cases", "tests", "vectors", "encodings"):
        if isinstance(content.get(name), list):
            return _recognise(content[name])
    lists = [item for item in content.values() if isinstance(item, list)]
    if lists and all("msgpack" in case for cases in lists for case in cases):
        return "msgpack suite", _suite(content)
    raise _ShapeError(f"a map with the keys {', '.join(sorted(content)[:8])}")


# --- Ed25519 ---

_PUBLIC_KEYS = {"pub_key", "public_key", "publicKey", "pk", "pub"}
_SIGNATURE_KEYS = {"signature", "sig"}
_MESSAGE_KEYS = {"message", "msg"}
_SEED_KEYS = {"seed", "secret", "secret_key", "sk"}
_VERDICT_KEYS = {"verdict", "valid", "result", "expect", "expected", "accept"}
# The twelve cases of ed25519-speccheck by their content, and libsodium's verdicts in their order.
_SPECCHECK = "XXXVXXXXXXXX"
_SPECCHECK_DIGEST = "b4d8cb172d7c63c722454d79772bcd320d93d62c7094e68a1ecd73aaaa169632"


def _pick(case: Mapping[str, Any], names: set[str]) -> Any:
    found = sorted(names & set(case))
    return case[found[0]] if found else None


def _verdict_of(value: Any) -> bool | None:
    """Return what a case expects: True, False, or None when it leaves it open."""
    if isinstance(value, bool):
        return value
    words = {"valid": True, "v": True, "accept": True, "ok": True, "pass": True}
    words |= {"invalid": False, "x": False, "reject": False, "fail": False}
    return words.get(str(value).lower())


def _check_verdict(
    key: bytes, signature: bytes, message: bytes, expected: bool | None
) -> str | None:
    found, twin = is_valid(key, signature, message), naive_verify(key, signature, message)
    if found != twin:
        return f"libsodium says {found}, OpenSSL with the pre-check says {twin}"
    if expected is not None and found != expected:
        return f"got {found}, want {expected}"
    return None


def _wycheproof(groups: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    for group in groups:
        holder = group.get("publicKey") or group.get("key") or {}
        if holder.get("curve", "edwards25519") != "edwards25519":
            yield "group", f"curve {holder['curve']} is none of ours"
            continue
        key = bytes.fromhex(holder["pk"])
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            reason = _check_verdict(key, signature, message, _verdict_of(case["result"]))
            yield f"tcId {case['tcId']}", reason


def _signature_cases(cases: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    parts = [
        tuple(bytes.fromhex(_pick(case, names) or "") for names in _CASE_PARTS) for case in cases
    ]
    is_speccheck = sha256(b"".join(map(b"".join, parts))).hexdigest() == _SPECCHECK_DIGEST
    for index, (case, (key, signature, message)) in enumerate(zip(cases, parts, strict=True)):
        expected = _verdict_of(_pick(case, _VERDICT_KEYS))
        if is_speccheck:
            expected = _SPECCHECK[index] == "V"
        reason = _check_verdict(key, signature, message, expected)
        seed = _pick(case, _SEED_KEYS)
        if reason is None and seed is not None:
            signer = SigningKey(bytes.fromhex(seed)[:32])
            if (signer.public_key, signer.sign(message)) != (key, signature):
                reason = "signing with the seed gives another key or signature"
        yield f"case {index}", reason


_CASE_PARTS = (_PUBLIC_KEYS, _SIGNATURE_KEYS, _MESSAGE_KEYS)


def _small_order(encodings: Sequence[str]) -> Iterator[Outcome]:
    signer = SigningKey(bytes(32))
    good = signer.sign(b"message")
    for text in encodings:
        point = bytes.fromhex(text)
        if len(point) != 32:
            raise _ShapeError("strings are not 32 bytes in hexadecimal")
        reason = None
        if _is_registered(point):
            reason = "may be registered as a key"
        elif is_valid(point, point + bytes(32), b"message") or is_valid(point, good, b"message"):
            reason = "verifies as a key"
        elif is_valid(signer.public_key, point + good[32:], b"message"):
            reason = "verifies as R"
        yield text, reason


def _is_registered(key: bytes) -> bool:
    try:
        check_public_key(key)
    except Refused:
        return False
    return True


# --- Merkle trees ---


def _bytes(text: str) -> bytes:
    """Return the bytes of a hash in hexadecimal or in base64."""
    if len(text) == 64 and all(character in "0123456789abcdefABCDEF" for character in text):
        return bytes.fromhex(text)
    return base64.b64decode(text, validate=True)


def _reference_tree(content: Mapping[str, Any]) -> Iterator[Outcome]:
    leaves = [merkle.leaf_hash(bytes.fromhex(item)) for item in content["leaves_hex"]]
    frontier = merkle.Frontier()
    for size, root in enumerate(content["roots_by_size_hex"]):
        reason = None
        if merkle.compute_root(leaves[:size]).hex() != root:
            reason = "root computed at once is another"
        elif frontier.root().hex() != root:
            reason = "root of the growing log is another"
        if size < len(leaves):
            frontier = frontier.appended([leaves[size]])
        yield f"root of {size}", reason


def _proofs(cases: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    for index, case in enumerate(cases):
        name = f"{case.get('_file', index)} ({case.get('desc', '')})"
        try:
            _verify_proof(case)
        except (Refused, ValueError) as error:
            yield name, None if case["wantErr"] else f"refused: {error}"
        else:
            yield name, "accepted, want an error" if case["wantErr"] else None


def _verify_proof(case: Mapping[str, Any]) -> None:
    path = [_bytes(item) for item in case["proof"] or ()]
    if "leafHash" in case:
        root, leaf, index = _bytes(case["root"]), _bytes(case["leafHash"]), case["leafIdx"]
        if "start" in case:
            verify_subtree_inclusion(root, case["start"], case["end"], index, leaf, path)
        else:
            merkle.verify_inclusion(root, case["treeSize"], index, leaf, path)
        return
    first, second = _bytes(case["root1"]), _bytes(case["root2"])
    if "start" in case:
        verify_subtree_consistency(first, case["start"], case["end"], second, case["size"], path)
    else:
        merkle.verify_consistency(first, case["size1"], second, case["size2"], path)


# --- msgpack ---


def _strict(cases: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    for index, case in enumerate(cases):
        data, expected = bytes.fromhex(case["hex"]), _verdict_of(case["expect"])
        yield str(case.get("name", index)), _check_decoding(data, expected)


def _check_decoding(data: bytes, expected: bool | None) -> str | None:
    try:
        value = decode(data)
    except Refused as error:
        return f"refused: {error}" if expected else None
    if not expected:
        return "accepted, want a refusal"
    return None if encode(value) == data else "accepted, but encodes otherwise"


def _suite(content: Mapping[str, Any]) -> Iterator[Outcome]:
    """Of all encodings of one value only the canonical one may be accepted, if there is one."""
    for group, cases in content.items():
        for index, case in enumerate(cases):
            value, has_encoding = _suite_value(case)
            canonical = naive_encode(value) if has_encoding else None
            for text in case["msgpack"]:
                data = bytes.fromhex(text.replace("-", ""))
                reason = _check_decoding(data, data == canonical)
                if reason is None and data == canonical and not _is_same(decode(data), value):
                    reason = f"decodes to {decode(data)!r}, want {value!r}"
                yield f"{group} {index}: {text}", reason


def _suite_value(case: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the value of a suite case, and whether the strict profile has an encoding of it."""
    if "bignum" in case:
        return int(case["bignum"]), True
    for name in ("nil", "bool", "string", "array", "map", "number"):
        if name in case:
            return case[name], not _has_float(case[name])
    if "binary" in case:
        return bytes.fromhex(case["binary"].replace("-", "")), True
    return None, False


def _has_float(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_float, value))
    return isinstance(value, float)


def _is_same(found: Any, want: Any) -> bool:
    if isinstance(want, list):
        return isinstance(found, tuple) and all(map(_is_same, found, want))
    if isinstance(want, Mapping):
        return set(found) == set(want) and all(_is_same(found[key], want[key]) for key in want)
    return type(found) is type(want) and bool(found == want)


# --- CEL ---


def _cel(cases: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    from ledger.rules.conformance import run_cel_case

    for index, case in enumerate(cases):
        name = f"{case.get('section', '')} {case.get('name', index)}: {case['expr']}"
        yield name.strip(), run_cel_case(case)


# --- the program ---


def report(results: Sequence[FileResult], folder: Path, say: Callable[[str], None]) -> int:
    """Print the results; return how many cases failed."""
    for result in results:
        kind = result.kind or "unknown"
        say(f"{result.name}: {kind}: passed {result.passed}, failed {len(result.failures)}")
        for case, reason in result.failures[:_SHOWN_FAILURES]:
            say(f"    {case}: {reason}")
        if len(result.failures) > _SHOWN_FAILURES:
            say(f"    and {len(result.failures) - _SHOWN_FAILURES} more")
    for name in SETS:
        if not any(result.name.startswith(f"{name}/") for result in results):
            say(f"{name}: absent from {folder}")
    passed, failed = sum(r.passed for r in results), sum(len(r.failures) for r in results)
    say(f"total: passed {passed}, failed {failed}")
    return failed


def main(arguments: Sequence[str]) -> int:
    """Run the folder that is named; return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: scripts/vectors DIR   (a folder with ed25519, merkle, msgpack, cel)")
        return 2
    folder = Path(arguments[0])
    return 1 if report(run_folder(folder), folder, print) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
