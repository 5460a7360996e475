"""F57 for the files that are read once: keys, certificate, genesis document, configuration.

`creditledger audit` finds every such bit by the home's `checksums`; here is what a node does with
it. A key that parses is another key, which the members have not entrusted with a vote; a genesis
document that parses is another chain's. A configuration is people's to edit: nothing of it can
make a wrong answer, only a node that is not reached.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from commands.local import local_network
from ledger.errors import CreditLedgerError
from ledger.keys import SigningKey
from ledger.membership.genesis import parse_genesis
from network.certificates import load_key
from network.runtime.settings import (
    NODE_KEY_FILE,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
    NodeSettings,
    load_settings,
)
from network.tls import TlsEndpoint

FLIPS = 25
MEMBER = "D02"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of one node of a network that does not run."""
    network = local_network.make(
        tmp_path_factory.mktemp("net"),
        consortium=local_network.DEMO_CONSORTIUM,
        nodes=4,
        seed=57,
        as_of=None,
        base_port=30_000,
    )
    return Path(network.node(MEMBER).home)


def load(home: Path) -> tuple[bytes, bytes, NodeSettings]:
    """Read what a node reads at its start; return chain id, node key and settings."""
    genesis = parse_genesis((home / "genesis.bin").read_bytes())
    key = SigningKey(load_key(home / NODE_KEY_FILE, None)).public_key
    anchors = {member.id: (member.certificate,) for member in genesis.members}
    TlsEndpoint(anchors, home / TLS_CERTIFICATE_FILE, home / TLS_KEY_FILE, None)
    return genesis.chain_id, key, load_settings(home)


@pytest.mark.parametrize(
    "name",
    [NODE_KEY_FILE, TLS_KEY_FILE, TLS_CERTIFICATE_FILE, "genesis.bin", "config.toml"],
    ids=str,
)
def test_f57_flipped_bit_in_a_small_file_is_refused_or_entrusted_with_nothing(
    home: Path, name: str
) -> None:
    whole, file, dice = load(home), home / name, Random(57)
    original, refused = file.read_bytes(), 0
    trusted = {
        key for _, key in parse_genesis((home / "genesis.bin").read_bytes()).validator_keys()
    }
    for _ in range(FLIPS):
        data = bytearray(original)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        file.write_bytes(data)
        try:
            chain_id, key, _ = load(home)
        except CreditLedgerError:
            refused += 1
        else:
            assert (chain_id != whole[0]) == (name == "genesis.bin")
            assert key == whole[1] or (name == str(NODE_KEY_FILE) and key not in trusted)
    file.write_bytes(original)
    assert refused
    assert load(home) == whole
