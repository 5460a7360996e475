"""Metrics and health over HTTP, and who may not keep others from them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from ledger.errors import Code, LocalError
from network.runtime.metrics import start_metrics_server

HOST = "127.0.0.1"


class Health:
    """What the node says of itself."""

    reason: str | None = None


@pytest.fixture
def served() -> Iterator[tuple[int, Health]]:
    """A server on a port of its own, and the health that it tells."""
    health = Health()
    server = start_metrics_server((HOST, 0), lambda: {"height": 7}, lambda: health.reason)
    yield server.server_port, health
    server.shutdown()
    server.server_close()


def get(port: int, path: str) -> str:
    with urlopen(f"http://{HOST}:{port}{path}", timeout=120) as answer:
        return str(answer.read().decode())


def test_metrics_and_health_are_served(served: tuple[int, Health]) -> None:
    port, health = served
    assert "creditledger_height 7.0" in get(port, "/metrics")
    assert get(port, "/health") == "ok\n"
    health.reason = "no block for 60 s"
    with pytest.raises(HTTPError) as caught:
        get(port, "/health")
    assert caught.value.code == 503
    assert caught.value.read() == b"no block for 60 s\n"


def test_silent_connections_keep_nobody_waiting(served: tuple[int, Health]) -> None:
    port, _ = served
    silent = [socket.create_connection((HOST, port)) for _ in range(5)]
    silent[0].sendall(b"GET /metr")
    assert get(port, "/health") == "ok\n"
    for connection in silent:
        connection.close()


def test_start_asks_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none answers, a node would wait for it at each start."""

    def ask(_name: str = "") -> str:
        raise AssertionError("asked for a name")

    monkeypatch.setattr(socket, "getfqdn", ask)
    server = start_metrics_server((HOST, 0), lambda: {"height": 7}, lambda: None)
    try:
        assert "creditledger_height 7.0" in get(server.server_port, "/metrics")
    finally:
        server.shutdown()
        server.server_close()


def test_port_in_use_is_named(served: tuple[int, Health]) -> None:
    port, _ = served
    with pytest.raises(LocalError, match=f"port {port} of 127.0.0.1") as caught:
        start_metrics_server((HOST, port), dict, lambda: None)
    assert caught.value.code is Code.PORT_IN_USE


def test_address_of_another_machine_cannot_be_used() -> None:
    with pytest.raises(LocalError) as caught:
        start_metrics_server(("192.0.2.1", 9), dict, lambda: None)
    assert caught.value.code is Code.CONFIG_INVALID
