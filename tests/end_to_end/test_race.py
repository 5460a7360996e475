"""Two banks race for one receivable through different nodes; `./scripts/race` is the long run."""

from __future__ import annotations

from dataclasses import replace

from commands.measuring.race import BANKS, Race, Run, judge_order, run_race
from ledger.errors import Code
from tests.end_to_end.province import Province

HEATS = 16


def test_one_receivable_is_pledged_once_whoever_races_for_it(province: Province) -> None:
    """Exactly one wins each heat, on every node, in block order; both win some (DOMAIN.md)."""
    race = run_race(province.net, HEATS, seed=5)
    assert race.breaches == []
    assert len(race.runs) == HEATS
    assert sum(race.wins.values()) == HEATS
    assert set(race.wins) == set(BANKS)
    _check_the_judge_sees_what_must_not_be(race)
    province.check_well()


def _check_the_judge_sees_what_must_not_be(race: Race) -> None:
    """Change what the receipts of a good heat say: each change must be found."""
    good = race.runs[0]
    winner, loser = good.winners[0], next(bank for bank in BANKS if bank != good.winners[0])
    won, lost = good.receipts[winner], good.receipts[loser]
    early = replace(lost, header=replace(lost.header, height=won.header.height - 1))
    naming = replace(lost, result=(Code.ASSET_ALREADY_PLEDGED, {"error": f"held by {winner}"}))
    for forged, word in (
        ({winner: won, loser: replace(lost, result=won.result)}, "want one 0 and one 2303"),
        ({winner: replace(won, result=lost.result), loser: lost}, "want one 0 and one 2303"),
        ({winner: won, loser: early}, "was refused before"),
        ({winner: won, loser: naming}, "the refusal names"),
    ):
        found = judge_order([Run(good.heat, forged)])
        assert len(found) == 1
        assert word in found[0]
