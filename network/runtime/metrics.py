"""Metrics for Prometheus, and health over HTTP, on an address of the operator's choice.

`/metrics` is prometheus-client's own page; `/health` answers 200 while the node makes progress or
has nothing to do, and 503 with the reason otherwise. The server runs in threads of its own and
reads numbers only; it is never asked from outside to do work on the chain.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.errors import Code, LocalError

Numbers = Callable[[], Mapping[str, float]]
Health = Callable[[], str | None]

_HELP = {
    "height": "Height of the last executed block",
    "certified_height": "Height of the last block with a certificate",
    "view": "Current view",
    "epoch": "Epoch that this node is in",
    "is_validator": "1 while this node votes, 0 while it follows",
    "certificate_seconds_left": "Seconds until the node's TLS certificate ends",
    "is_normal": "1 while the replica is in the normal case, 0 in a view change",
    "peers_connected": "Members connected to this node",
    "mempool_transactions": "Transactions that wait to be ordered",
    "mempool_bytes": "Bytes of transactions that wait",
    "clients_connected": "Clients connected to the gateway",
    "transactions_total": "Transactions executed",
    "blocks_total": "Blocks executed",
    "signatures_checked_total": "Signatures verified",
    "requests_refused_total": "Client transactions refused at the door",
    "requests_busy_total": "Client requests answered with BUSY",
    "view_changes_total": "View changes this node took part in",
    "vote_syncs_total": "Synced writes of the vote log",
    "evidence_total": "Pieces of evidence kept of members that contradicted themselves",
    "disk_free_bytes": "Free bytes on the home's file system",
}


class _NodeCollector(Collector):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        for name, value in self._numbers().items():
            text = _HELP.get(name, name.replace("_", " "))
            if name.endswith("_total"):
                counter = CounterMetricFamily(
                    f"creditledger_{name.removesuffix('_total')}", text, value=value
                )
                yield counter
            else:
                yield GaugeMetricFamily(f"creditledger_{name}", text, value=value)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, so that one that says nothing keeps nobody waiting."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind as the parents do, without asking for the host's full name: DNS may be silent."""
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), port
        self.setup_environ()

    # What the other end does to its connection is not worth a traceback in the log.
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing."""


class _QuietHandler(WSGIRequestHandler):
    timeout = 5  # seconds that a connection may say nothing

    # The parent's parameter is called `format`; requests are not worth a log line each.
    def log_message(self, format: str, *args: Any) -> None:  # noqa: ARG002
        return


def start_metrics_server(address: tuple[str, int], numbers: Numbers, health: Health) -> WSGIServer:
    """Serve `/metrics` and `/health` on `address` from a daemon thread; return the server.

    Raises `LocalError` 5009 when the port is taken, 7003 when the address cannot be used.
    """
    registry = CollectorRegistry()
    registry.register(_NodeCollector(numbers))
    metrics_app = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/health":
            page: Iterable[bytes] = metrics_app(environ, start_response)
            return page
        reason = health()
        status = "200 OK" if reason is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(reason or "ok").encode() + b"\n"]

    server = _make_server(address, app)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _make_server(address: tuple[str, int], app: Callable[..., Any]) -> WSGIServer:
    host, port = address
    try:
        return make_server(host, port, app, _Server, _QuietHandler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise LocalError(
                Code.PORT_IN_USE, f"port {port} of {host} (metrics) is in use by another process"
            ) from None
        raise LocalError(
            Code.CONFIG_INVALID, f"cannot serve metrics on {host}:{port}: {error.strerror}"
        ) from None
