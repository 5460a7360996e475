"""Making and starting a local network: keys, genesis, homes, profiles, processes.

NET/genesis.bin, NET/consortium.toml, NET/members/ID/   what genesis.local plans
NET/nodes/ID/                                           the home of each node
NET/clients/ID/                                         a profile for every member
NET/devnet.json                                         who runs where
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

import genesis.local
from commands.console import progress
from commands.files import read_bytes
from commands.files import replace as replace_file
from commands.homes.damage import flip_byte, tamper_block
from commands.homes.making import make_home
from commands.local.network_file import LocalNetwork, NodeEntry
from commands.local.processes import HOST, find_free_ports, last_lines, start_node, stop
from commands.profiles import issue_tls, make_profile
from commands.session import CLIENTS, only_node
from commands.values import now_ms
from genesis.builder import read_consortium
from ledger.errors import Code, CreditLedgerError, LocalError
from ledger.storage.home import HomeLayout
from ledger.storage.leveldb import LevelStore
from network import certificates
from network.client import ClientPolicy, SyncClient
from network.profile import Profile

DEMO_CONSORTIUM = Path(genesis.local.__file__).parent / "demo" / "consortium.toml"
NODES = "nodes"
START_SECONDS = 300
_AS_OF = re.compile(r"^as_of\s*=.*$", re.MULTILINE)
_POLICY = ClientPolicy(connect_s=10, answer_s=10)


def make(
    folder: Path,
    *,
    consortium: Path,
    nodes: int,
    seed: int | None,
    as_of: date | None,
    base_port: int,
) -> LocalNetwork:
    """Make everything a network needs in a new folder; nothing runs yet."""
    if folder.exists() and any(folder.iterdir()):
        raise LocalError(
            Code.INPUT_USAGE, f"{folder} is not empty: stop its network, then name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    ports = find_free_ports(2 * nodes, base_port)
    source = _dated(consortium, as_of, folder)
    plan = genesis.local.plan(
        source,
        folder,
        nodes=nodes,
        base_port=ports,
        now_ms=now_ms(),
        make_seed=certificates.new_seed if seed is None else _seeds(seed),
    )
    entries = []
    for index, member in enumerate(plan.nodes):
        entries.append(_make_node(folder, plan, member, f"{HOST}:{ports + nodes + index}"))
    addresses = [(entry.member, entry.address) for entry in entries]
    for index, planned in enumerate(plan.members):
        # A member asks its own node first; one without a node starts at another in turn.
        first = index % len(addresses)
        order = addresses[first:] + addresses[:first]
        make_profile(
            folder / CLIENTS / planned.id,
            planned.id,
            "cli",
            planned.folder,
            plan.genesis_file,
            order,
        )
    day = as_of or read_consortium(consortium).get("as_of", "today")
    network = LocalNetwork(folder, seed or 0, str(day), plan.chain_id.hex(), tuple(entries))
    network.save()
    return network


def _dated(consortium: Path, as_of: date | None, folder: Path) -> Path:
    """Return the consortium file, or a copy of it that lives on another day."""
    if as_of is None:
        return consortium
    text = read_bytes(consortium).decode()
    line = f"as_of = {as_of.isoformat()}"
    dated = _AS_OF.sub(line, text) if _AS_OF.search(text) else f"{line}\n{text}"
    path = folder / "consortium-as-of.toml"
    path.write_text(dated, encoding="utf-8")
    return path


def _seeds(seed: int) -> Callable[[], bytes]:
    """Return a source of keys that anybody who knows the seed can repeat."""
    count = 0

    def make_seed() -> bytes:
        nonlocal count
        count += 1
        return sha256(f"creditledger/devnet/{seed}/{count}".encode()).digest()

    return make_seed


def _make_node(
    folder: Path,
    plan: genesis.local.LocalNetwork,
    member: genesis.local.LocalMember,
    metrics: str,
) -> NodeEntry:
    issue_tls(member.folder, member.folder, certificates.NodeIdentity(member.id), None)
    home = folder / NODES / member.id
    address = member.address or ""
    make_home(
        home,
        member=member.id,
        genesis_file=plan.genesis_file,
        keys=member.folder,
        listen=address,
        metrics=metrics,
    )
    return NodeEntry(member.id, str(home.resolve()), address, metrics)


def start(network: LocalNetwork, members: Sequence[str]) -> LocalNetwork:
    """Start the nodes of `members`, wait until each answers, and return the network with them.

    Raises `LocalError` 5008 or 6103 with the end of the log of a node that did not come up; the
    nodes that did are stopped again.
    """
    for member in members:
        entry = network.node(member)
        network = network.with_node(entry.started(start_node(Path(entry.home))))
        network.save()
    try:
        with progress("starting nodes", len(members), "nodes") as bar:
            for member in members:
                _wait_until_answers(network, network.node(member))
                bar.advance()
    except CreditLedgerError:
        stop([network.node(member).process for member in members])
        raise
    return network


def _wait_until_answers(network: LocalNetwork, entry: NodeEntry) -> None:
    profile = only_node(Profile.load(network.folder / CLIENTS / entry.member), entry.member)
    deadline = monotonic() + START_SECONDS
    with SyncClient(profile, _POLICY) as client:
        while True:
            try:
                client.status()
            except CreditLedgerError as error:
                _check_alive(entry, error, deadline)
                sleep(0.1)
            else:
                return


def _check_alive(entry: NodeEntry, error: CreditLedgerError, deadline: float) -> None:
    """Raise when there is nothing more to wait for."""
    log = last_lines(Path(entry.home))
    if not entry.is_running:
        raise LocalError(
            Code.CONNECT_FAILED, f"the node of {entry.member} ended at its start: {log}"
        )
    if monotonic() >= deadline:
        raise LocalError(
            Code.TIMED_OUT,
            f"the node of {entry.member} does not answer after {START_SECONDS} s "
            f"({error.message}): {log}",
        )


def tamper(home: Path, seed: int, note: Path) -> None:
    """Rewrite one stored block of a copy, drawn from `seed`; `note` gets what was done."""
    store = LevelStore(HomeLayout(home).database, create=False)
    try:
        done = tamper_block(store, seed)
    finally:
        store.close()
    value = {**done.to_value(), "transaction_id": done.transaction_id.hex()}
    replace_file(note, json.dumps(value).encode() + b"\n")


def flip(home: Path, seed: int, note: Path) -> None:
    """Change one byte of one file of a copy's database; `note` gets where."""
    folder = HomeLayout(home).database
    files = [path for pattern in ("*.ldb", "*.log") for path in folder.glob(pattern)]
    done = flip_byte(files, seed)
    value = {"file": done.file.name, "offset": done.offset, "mask": done.mask}
    replace_file(note, json.dumps(value).encode() + b"\n")
