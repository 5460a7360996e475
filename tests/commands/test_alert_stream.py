"""A follower of alerts: cursors, lost connections, and going on where one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest

from commands.alerts.stream import LAST_WAIT_S, cursor_text, follow, parse_cursor, read_pages
from ledger.errors import Code, RemoteError
from ledger.lending.alerts.book import compute_place


class Chain:
    """Alerts by place, given in pages of two; a connection breaks after `lives` questions."""

    def __init__(self, places: list[int], lives: int = 10**6) -> None:
        self.places = places
        self.later: list[int] = []
        self.lives = lives
        self.left = 0
        self.refused = 0

    @contextmanager
    def connect(self) -> Iterator[Chain]:
        if self.refused:
            self.refused -= 1
            raise RemoteError("D02", Code.CONNECT_FAILED, "nobody listens")
        self.left = self.lives
        yield self

    def query(self, name: str, **params: Any) -> Any:
        assert name == "alerts.list"
        if self.left == 0:
            raise RemoteError("D02", Code.CONNECTION_LOST, "the node went away")
        self.left -= 1
        cursor = params.get("cursor", 0)
        page = [place for place in self.places if place > cursor][:2]
        items = [{"cursor": place} for place in page]
        return {"alerts": items, "cursor": page[-1] if page else cursor, "waiting": 0}

    def wait_for_block(self) -> None:
        self.places += self.later
        self.later = []


def take(chain: Chain, cursor: int, count: int) -> tuple[list[int], list[float]]:
    pauses: list[float] = []
    stream = follow(chain.connect, cursor, pauses.append, lambda _: None)
    return [item["cursor"] for item in islice(stream, count)], pauses


def test_cursors_are_blocks_and_places_in_them() -> None:
    assert parse_cursor("8843.2") == compute_place(8843, 2)
    assert parse_cursor("8843") == compute_place(8843, 0) - 1
    assert parse_cursor("0") == -1
    assert cursor_text(compute_place(8843, 2)) == "8843.2"
    for bad in ("", "x", "1.2.3", "1.", ".5", "-1", "9" * 13, "٣"):
        with pytest.raises(ValueError, match="cursor"):
            parse_cursor(bad)


def test_what_is_raised_later_follows() -> None:
    chain = Chain([compute_place(3, 0), compute_place(3, 1), compute_place(5, 0)])
    chain.later = [compute_place(9, 0)]
    seen, pauses = take(chain, -1, 4)
    assert [cursor_text(place) for place in seen] == ["3.0", "3.1", "5.0", "9.0"]
    assert pauses == []


@pytest.mark.parametrize("lives", [1, 2, 3])
def test_lost_connections_lose_and_repeat_nothing(lives: int) -> None:
    places = [compute_place(height, number) for height in range(1, 6) for number in range(3)]
    seen, pauses = take(Chain(list(places), lives), -1, len(places))
    assert seen == places
    assert len(pauses) >= len(places) // 2 // lives - 1


def test_a_follower_resumes_with_the_last_cursor_he_saw() -> None:
    places = [compute_place(4, number) for number in range(5)]
    for stopped in range(5):
        first, _ = take(Chain(list(places)), -1, stopped)
        cursor = parse_cursor(cursor_text(first[-1])) if first else -1
        rest, _ = take(Chain(list(places)), cursor, 5 - stopped)
        assert first + rest == places


def test_pauses_grow_to_a_bound_and_other_errors_are_raised() -> None:
    chain = Chain([compute_place(1, 0)])
    chain.refused = 8
    _, pauses = take(chain, -1, 1)
    assert pauses == [1, 2, 4, 8, 16, LAST_WAIT_S, LAST_WAIT_S, LAST_WAIT_S]

    @contextmanager
    def forbidden() -> Iterator[Chain]:
        raise RemoteError("D02", Code.PEER_WRONG_CHAIN, "another chain")
        yield chain

    with pytest.raises(RemoteError, match="5004"):
        next(follow(forbidden, -1, lambda _: None, lambda _: None))


def test_every_page_is_read_up_to_now() -> None:
    places = [compute_place(2, number) for number in range(5)]
    chain = Chain(list(places))
    with chain.connect() as asker:
        pages = list(read_pages(asker, {}))
    assert [item["cursor"] for page in pages for item in page["alerts"]] == places
