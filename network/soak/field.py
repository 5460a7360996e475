"""The thread in which a soak's links and load run, beside the program that breaks things.

trio runs in a thread of its own; the program, which waits for processes and plain clocks, reads the
lists and sets the fields of `Links` and `Load`. What goes wrong in the thread is shown by `failure`
alone, so whoever relies on the load looks there: one that died is not a quiet network.
"""

from __future__ import annotations

import threading

import trio

from network.soak.links import Links
from network.soak.load import Load


class Field:
    """A context manager: `links` forward from entry to exit, the load from `start_load` on."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self._thread = threading.Thread(target=self._run, name="soak-field", daemon=True)
        self._ready = threading.Event()
        self._loaded = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Field:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._post(self._scope.cancel)
        self._thread.join()

    def _post(self, action: object) -> None:
        if self._token is None or not callable(action):
            return
        try:
            self._token.run_sync_soon(action)
        except trio.RunFinishedError:
            return

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread, None while it runs."""
        return self._failure

    def start_load(self, load: Load) -> None:
        """Let the load begin."""
        self._loaded.clear()
        self._post(lambda: self._start(load))

    def _start(self, load: Load) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._load, load)

    async def _load(self, load: Load) -> None:
        await load.run()
        self._loaded.set()

    def end_load(self, load: Load, wait_s: float) -> bool:
        """Let the load finish what it has in hand; tell whether it did within `wait_s`."""
        load.is_over = True
        return self._loaded.wait(wait_s)

    def break_connections(self, member: str) -> None:
        """End every connection between a member's node and the others at once."""
        self._post(lambda: self.links.break_connections(member))

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - shown by `failure`
            self._failure = error
        finally:
            self._ready.set()
            self._loaded.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self.links.run)
                self._ready.set()
                await trio.sleep_forever()
