"""One attacker in a process of its own, for `./scripts/bench --faults`.

`python -m commands.soak.attacker liar|flood|crowd NET MEMBER AMOUNT`: frames or requests a second,
or connections. It runs until it gets SIGTERM, and then prints what it did as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from commands.local.network_file import load_network
from commands.session import CLIENTS, MEMBERS
from ledger.keys import SigningKey
from network.certificates import load_key
from network.profile import Profile
from network.soak.attack import run_crowd, run_flood, run_liar


def main() -> None:
    """Attack a local network as one of its members."""
    what, net, member, rate = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    profile = Profile.load(net / CLIENTS / member)
    if what == "crowd":
        told = run_crowd(load_network(net).node(member).address, int(rate))
    elif what == "flood":
        told = run_flood(profile, rate)
    else:
        folder = net / MEMBERS / member
        addresses = {entry.member: entry.address for entry in load_network(net).nodes}
        key = SigningKey(load_key(folder / "node.key", None))
        told = run_liar(profile.genesis, member, addresses, folder, key, rate)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
