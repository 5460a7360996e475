"""Limits are checked against each other when a configuration is made (rules 1, 22, 27, 29)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.config import NS_PER_S, ReplicaConfig, minimal, production
from consensus.epochs import PreviousEpoch
from ledger.errors import Code, LocalError
from tests.simulator.keys import FastKeyring

CHAIN_ID = b"\x11" * 32


@pytest.mark.parametrize("size", [4, 5, 6, 7, 26, 157, 199])
@pytest.mark.parametrize("preset", [production, minimal])
def test_presets_hold_for_any_number_of_members(preset, size):
    config = preset(CHAIN_ID, 0, FastKeyring(size).public_keys, size - 1)
    limits = config.limits
    assert limits.window * size <= 10_000
    assert 1 <= limits.floor_places <= max(1, limits.places // 2)  # rule 49
    assert size * limits.places * 2 * NS_PER_S <= limits.places_rate * config.timers.request_ns


def test_primaries_go_round_by_view():  # rule 4
    config = minimal(CHAIN_ID, 0, FastKeyring(5).public_keys, 0)
    assert [config.primary(view) for view in range(7)] == [0, 1, 2, 3, 4, 0, 1]


def _base() -> ReplicaConfig:
    return minimal(CHAIN_ID, 0, FastKeyring(4).public_keys, 0)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("own index 4 of 4 members", {"index": 4}),
        ("3 members, want 4", {"members": FastKeyring(3).public_keys}),
        ("same public key", {"members": FastKeyring(3).public_keys * 2}),
        ("is not 32 bytes", {"members": (*FastKeyring(3).public_keys, b"short")}),
        ("chain id of 3 bytes", {"chain_id": b"abc"}),
        ("epoch -1", {"epoch": -1}),
        ("epoch 1 with or without", {"epoch": 1}),
        ("epoch 0 with or without", {"previous": PreviousEpoch(_base().members, 9)}),
        ("rule 22", {"limits": replace(_base().limits, places=9)}),
        ("rule 29", {"limits": replace(_base().limits, window=2501)}),
        ("floor of 5 places", {"limits": replace(_base().limits, floor_places=5)}),
        ("floor of 0 places", {"limits": replace(_base().limits, floor_places=0)}),
        ("less than one place", {"limits": replace(_base().limits, batch_bytes=1)}),
    ],
)
def test_configuration_that_breaks_a_rule_is_refused(reason, change):
    with pytest.raises(LocalError, match=reason) as refused:
        replace(_base(), **change)
    assert refused.value.code is Code.CONFIG_INVALID


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("eight message delays", {"delay_ns": NS_PER_S}),
        ("T_max is below T", {"request_ns": 9 * NS_PER_S}),
        ("M is below two T", {"floor_ns": 2 * NS_PER_S - 1}),
        ("below a status period", {"status_ns": 3 * NS_PER_S}),
        ("not positive", {"status_ns": 0}),
        ("batch delay is negative", {"batch_delay_ns": -1}),
    ],
)
def test_timers_that_break_a_rule_are_refused(reason, change):  # rule 27
    with pytest.raises(LocalError, match=reason):
        replace(_base().timers, **change)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("pipeline <= window", {"pipeline": 5}),
        ("batch count of 1 to 4096", {"batch_count": 4097}),
        ("limit is not positive", {"places": 0}),
        ("bound on time", {"skew_ms": 0}),
    ],
)
def test_limits_that_break_a_rule_are_refused(reason, change):
    with pytest.raises(LocalError, match=reason):
        replace(_base().limits, **change)
