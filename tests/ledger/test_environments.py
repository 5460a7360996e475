"""Equal results whatever the process's environment is (F49).

A chain of records, bindings, refusals and repeats is executed by interpreters that differ in what a
program may read of its surroundings without noticing: the seed of hashes, locale, time zone,
optimisation, recursion limit, and another build of Python where the machine has one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.setrecursionlimit(int(sys.argv[1]))
from tests.audit.chain import filled_chain
from tests.disks.workload import digest, make_script
print(filled_chain().head.hash().hex(), make_script(3).digests()[-1].hex())
"""
USUAL = 1000


def executed(
    *options: str,
    python: str = sys.executable,
    recursion: int = USUAL,
    env: Mapping[str, str] | None = None,
) -> str:
    """Return what an interpreter makes of the chain."""
    search = os.pathsep.join([str(ROOT), *(item for item in sys.path if "site-packages" in item)])
    done = subprocess.run(  # noqa: S603  our own interpreter, our own program
        [python, *options, "-c", PROGRAM, str(recursion)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": search, **(env or {})},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def usual() -> str:
    """What this interpreter makes of the chain, with nothing out of the ordinary."""
    return executed(env={"PYTHONHASHSEED": "0"})


def test_f49_hash_seed_locale_zone_and_optimisation_change_nothing(usual: str) -> None:
    east = {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}
    west = {"PYTHONHASHSEED": "4294967295", "LC_ALL": "C", "TZ": "America/Adak", "PYTHONUTF8": "0"}
    assert executed("-OO", env=east) == usual
    assert executed("-X", "int_max_str_digits=640", env=west) == usual


def test_f49_recursion_limit_changes_nothing(usual: str) -> None:
    assert executed(recursion=300) == usual
    assert executed(recursion=50_000) == usual


def test_f49_another_python_of_the_same_version_changes_nothing(usual: str) -> None:
    """Its libraries are this environment's, so only another build of the same version can be."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix).resolve()
    places = os.get_exec_path()
    found = (shutil.which(name, path=place) for place in [*places, "/usr/bin", "/usr/local/bin"])
    others = {str(Path(path).resolve()) for path in found if path is not None}
    others = {path for path in others if not Path(path).is_relative_to(base)}
    if not others:
        pytest.skip(f"no other {name} on this machine")
    assert executed(python=sorted(others)[0]) == usual
