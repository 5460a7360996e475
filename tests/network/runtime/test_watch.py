"""Watching alerts: looked at when a block raised one, and past those that are not the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from ledger.encoding import Value
from network.certificates import ClientIdentity
from network.runtime.service import Service
from network.wire import Request
from tests.network.support import run

CLIENT = ClientIdentity("D18", "cli")


class Keeper:
    """What the service asks of the part that executes blocks."""

    def __init__(self) -> None:
        self.certified_height = 0
        self.alert_height = 0
        self.head = SimpleNamespace(height=0)
        self._certified = trio.Event()

    def add_block(self, *, has_alert: bool) -> None:
        """Execute and certify the next block."""
        self.head.height += 1
        self.certified_height += 1
        if has_alert:
            self.alert_height = self.head.height
        self._certified.set()
        self._certified = trio.Event()

    async def wait_certified(self, above_height: int) -> None:
        while self.certified_height <= above_height:
            await self._certified.wait()


class Alerts:
    """Answers `alerts.list`; `answers` are (items, cursor), the last one again and again."""

    def __init__(self, *answers: tuple[tuple[Value, ...], int]) -> None:
        self.answers = list(answers)
        self.cursors: list[int] = []

    def __call__(self, client: ClientIdentity, name: str, params: Mapping[str, Any]) -> Value:
        assert (client, name) == (CLIENT, "alerts.list")
        self.cursors.append(params["cursor"])
        items, cursor = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"alerts": items, "cursor": cursor, "waiting": 0}


def make_service(keeper: Keeper, alerts: Alerts) -> Service:
    parts: Any = SimpleNamespace(keeper=keeper, run_query=alerts)
    return Service(parts)


def watch(cursor: int, wait_ms: int) -> Request:
    params = {"stream": "alerts", "cursor": cursor, "limit": 10, "wait_ms": wait_ms}
    return Request(1, "watch", params)


def test_only_a_block_with_an_alert_costs_a_look() -> None:
    async def main() -> None:
        keeper, alerts = Keeper(), Alerts(((), 0), (("an alert",), 5))
        service = make_service(keeper, alerts)
        answers: list[Value] = []

        async def ask() -> None:
            answers.append(await service.handle(CLIENT, watch(0, 60_000)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not alerts.cursors:  # the look is taken in a thread, whenever that begins
                await trio.lowlevel.checkpoint()
            for _ in range(20):
                keeper.add_block(has_alert=False)
                await wait_all_tasks_blocked()
            assert alerts.cursors == [0]
            keeper.add_block(has_alert=True)
        assert alerts.cursors == [0, 0]
        assert answers == [{"items": ("an alert",), "cursor": 5}]

    run(main)


def test_alerts_of_others_are_passed_over() -> None:
    """A page may hold none that the caller may see; the next one is asked for, not the same."""

    async def main() -> None:
        alerts = Alerts(((), 5000), ((), 7000), (("an alert",), 7001))
        answer = await make_service(Keeper(), alerts).handle(CLIENT, watch(0, 60_000))
        assert alerts.cursors == [0, 5000, 7000]
        assert answer == {"items": ("an alert",), "cursor": 7001}

    run(main)


def test_watch_that_runs_out_says_where_to_go_on() -> None:
    async def main() -> None:
        alerts = Alerts(((), 5000))
        answer = await make_service(Keeper(), alerts).handle(CLIENT, watch(5000, 0))
        assert answer == {"items": (), "cursor": 5000}

    run(main)
