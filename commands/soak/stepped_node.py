"""A node whose wall clock can be stepped while it runs: `creditledger`, but for the time of day.

Started as `python -m commands.soak.stepped_node run --home HOME`, it reads eight bytes from
HOME.clock at every look at the clock: milliseconds, signed, to add. The node's code is the one that
is in service; only what the standard library tells it as the time of day is moved, as a wrong NTP
server would move it. Monotonic time and the clock of TLS stay.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

SUFFIX = ".clock"
_OFFSET = struct.Struct("<q")


def clock_file(home: Path) -> Path:
    """Return the file that holds the offset of the node in `home`."""
    return home.with_name(home.name + SUFFIX)


def set_offset(home: Path, offset_ms: int) -> None:
    """Step the wall clock of the node in `home`; 0 puts it right."""
    path = clock_file(home)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(_OFFSET.pack(offset_ms))


def step_clock(home: Path) -> None:
    """Let this process read its wall clock through the file of `home`."""
    with clock_file(home).open("rb") as file:
        held = mmap.mmap(file.fileno(), _OFFSET.size, prot=mmap.PROT_READ)
    real_ns = time.time_ns

    def stepped_ns() -> int:
        return real_ns() + int(_OFFSET.unpack_from(held)[0]) * 1_000_000

    time.time_ns = stepped_ns
    time.time = lambda: stepped_ns() / 1e9


def main() -> None:
    """Run the command line, whose last argument is the home."""
    step_clock(Path(sys.argv[-1]))
    from node import main as run

    run()


if __name__ == "__main__":
    main()
