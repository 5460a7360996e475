"""The published vectors, where they are there; and the runner that reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.keys import is_valid
from tests.twins import naive_verify
from tests.vectors.runner import SETS, main, report, run_file, run_folder

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors"


def _folder(name: str) -> Path:
    folder = VECTORS / name
    if not folder.is_dir():
        pytest.skip(f"the shared vectors are not here: {name}")
    return folder


@pytest.mark.parametrize("name", SETS)
def test_shared_vectors_pass(name: str) -> None:
    results = run_folder(_folder(name))
    assert results
    assert [result.failures for result in results] == [[] for _ in results]
    assert all(result.passed for result in results)


def test_speccheck_verdicts_are_libsodiums() -> None:
    path = _folder("ed25519") / "speccheck_cases.json"
    for verify in (is_valid, naive_verify):
        verdicts = ""
        for case in json.loads(path.read_text()):
            parts = [bytes.fromhex(case[name]) for name in ("pub_key", "signature", "message")]
            verdicts += "V" if verify(*parts) else "X"
        assert verdicts == "XXXVXXXXXXXX"


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
RFC_8032 = {
    "seed": SEED,
    "public_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "msg": "",
    "sig": "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    "valid": True,
}


@pytest.mark.parametrize(
    ("content", "kind", "failed"),
    [
        ([RFC_8032], "Ed25519 cases", 0),
        ([RFC_8032 | {"valid": False}], "Ed25519 cases", 1),
        ({"cases": [RFC_8032 | {"seed": "00" * 32}]}, "Ed25519 cases", 1),
        (["01" + "00" * 31], "small-order encodings", 0),
        ([RFC_8032["public_key"]], "small-order encodings", 1),
        ({"cases": [{"hex": "cc01", "expect": "reject"}]}, "strict msgpack", 0),
        ([{"hex": "01", "expect": "reject"}, {"hex": "cc01", "expect": "accept"}],
         "strict msgpack", 2),
        ({"a.yaml": [{"number": 1, "msgpack": ["01", "cc-01"]}]}, "msgpack suite", 0),
        ({"a.yaml": [{"number": 2, "msgpack": ["01"]}]}, "msgpack suite", 1),
        ({"a.yaml": [{"ext": [1, "10"], "msgpack": ["d4-01-10"]}]}, "msgpack suite", 0),
        ([{"expr": "1 + 1", "expect": {"value": {"type": "int", "value": 2}}}], "CEL", 0),
        ([{"expr": "1 + 1", "expect": {"value": {"type": "int", "value": 3}}}], "CEL", 1),
        ([{"unheard": "of"}], None, 1),
        ({"schema": "none"}, None, 1),
        ([], None, 1),
    ],
)  # fmt: skip
def test_files_are_recognised_by_shape(
    tmp_path: Path, content: Any, kind: str | None, failed: int
) -> None:
    result = run_file(_write(tmp_path / "any-name.json", content), "any-name.json")
    assert (result.kind, len(result.failures)) == (kind, failed)


def test_merkle_shapes(tmp_path: Path) -> None:
    tree = {"leaves_hex": [""], "roots_by_size_hex": ["00" * 32, "11" * 32]}
    assert len(run_file(_write(tmp_path / "tree.json", tree), "tree").failures) == 2
    root = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    case = {"leafIdx": 0, "treeSize": 1, "root": root, "leafHash": root, "proof": None}
    cases = [case | {"wantErr": False}, case | {"wantErr": True}]
    assert len(run_file(_write(tmp_path / "proofs.json", cases), "proofs").failures) == 1


def test_absent_sets_are_named_and_are_no_failure(tmp_path: Path) -> None:
    _write(tmp_path / "ed25519" / "mine.json", [RFC_8032])
    lines: list[str] = []
    assert report(run_folder(tmp_path), tmp_path, lines.append) == 0
    assert "ed25519/mine.json: Ed25519 cases: passed 1, failed 0" in lines
    assert [line for line in lines if "absent" in line] == [
        f"{name}: absent from {tmp_path}" for name in ("merkle", "msgpack", "cel")
    ]


def test_exit_code_says_whether_all_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path / "ed25519" / "mine.json", [RFC_8032])
    assert main([str(tmp_path)]) == 0
    _write(tmp_path / "ed25519" / "other.json", [RFC_8032 | {"valid": False}])
    assert main([str(tmp_path)]) == 1
    assert "case 0: got True, want False" in capsys.readouterr().out
    assert main([]) == 2
