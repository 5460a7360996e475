"""F48: the database goes on where the system gives no more threads."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disks.preload import EVER, Rule, environment, write_plan
from tests.disks.runs import ROOT, RUN_SECONDS

# The plan comes between the open database and its first merge.
PROGRAM = """
import sys
from pathlib import Path
from ledger.storage.leveldb import LevelStore
folder, ready, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store = LevelStore(folder)
if mode == "started":
    store.start_thread()
ready.rename(ready.with_name("plan"))
store.write({b"key": b"value"}, sync=True)
store.compact()
print(store.get(b"key").decode())
store.close()
"""


@pytest.mark.parametrize("mode", ["started", "late"])
def test_f48_database_merges_tables_with_the_thread_it_was_given_at_the_start(
    fast_path: Path, mode: str
) -> None:
    """Where it was not, the library ends the process: that is what the start is for."""
    folder, ready = fast_path / "db", fast_path / "ready"
    folder.mkdir()
    write_plan(ready, Rule("thread", "-", "fail", errno.EAGAIN, 1, EVER))
    done = subprocess.run(  # noqa: S603  our own interpreter, our own program
        [sys.executable, "-c", PROGRAM, str(folder), str(ready), mode],
        cwd=ROOT,
        env={**os.environ, **environment(folder, plan=fast_path / "plan")},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if mode == "started":
        assert (done.returncode, done.stdout) == (0, "value\n"), done.stderr
    else:
        assert done.returncode == -signal.SIGABRT, done.stderr
