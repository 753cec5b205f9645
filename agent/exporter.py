"""The agent's `/metrics` and `/healthz`: keeps the latest observation and answers from it, in threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.loop import Watcher
from agent.metrics import AgentState, families
from agent.observe import Observation
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from agent.tallies import DEFAULT_MAX_PAIRS, Tallies
from gpuledger.accounting.meter import Metered
from gpuledger.clock import Clock
from gpuledger.errors import ConfigError
from gpuledger.model import Device, Holder

STALE_INTERVALS: Final = 3
IDLE_CONNECTION_S: Final = 10.0  # a connection that asks for nothing does not keep its thread longer


class Vitals:
    """Where the exporter finds the state of the agent's other parts: functions, asked at each scrape."""

    def __init__(
        self,
        *,
        sampling: Callable[[], SamplingStats] = SamplingStats,
        spool: Callable[[], SpoolStats] = lambda: SpoolStats(0, 0, None, 0, 0, 0),
        shipper: Callable[[], ShipperStats] = ShipperStats,
        blocked: Callable[[], bool] = lambda: False,
        lookups_failed: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self.sampling = sampling
        self.spool = spool
        self.shipper = shipper
        self.blocked = blocked
        self.lookups_failed = lookups_failed


class Exporter(Watcher, Collector):
    """Takes note of samples, and yields metric families when it is scraped."""

    def __init__(
        self,
        node: str,
        version: str,
        clock: Clock,
        vitals: Vitals,
        *,
        interval_us: int,
        max_pairs: int = DEFAULT_MAX_PAIRS,
    ) -> None:
        self._node = node
        self._version = version
        self._clock = clock
        self._vitals = vitals
        self._stale_us = STALE_INTERVALS * interval_us
        self._lock = threading.Lock()
        self._observation: Observation | None = None
        self._devices: dict[str, Device] = {}
        self._holders: dict[str, Holder] = {}
        self._tallies = Tallies(max_pairs)

    def observed(self, observation: Observation, holders: Callable[[], Mapping[str, Holder]]) -> None:
        """Take note of a reading."""
        with self._lock:
            self._observation = observation
            self._devices.update(observation.devices)
            self._tallies.add_events(observation.events)
            for board in observation.snapshot.boards:
                for device in board.devices:
                    if any(occupant.holder not in self._holders for occupant in device.occupants):
                        self._holders.update(holders())

    def metered(self, metered: Metered) -> None:
        """Take note of usage; facts about holders that are neither present nor counted any more are forgotten."""
        if not metered.records:
            return
        with self._lock:
            self._tallies.add(metered.records, metered.until_us)
            counted = {holder for _, holder, _ in self._tallies.pairs()} | self._present()
            self._holders = {key: holder for key, holder in self._holders.items() if key in counted}

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families of this instant."""
        return families(self._state())

    def text(self) -> bytes:
        """Return the exposition text of this instant."""
        return generate_latest(self)

    def _present(self) -> set[str]:
        boards = self._observation.snapshot.boards if self._observation else ()
        return {occupant.holder for board in boards for device in board.devices for occupant in device.occupants}

    def _state(self) -> AgentState:
        now_us = self._clock.now_us()
        with self._lock:
            observation = self._observation
            age_us = None if observation is None else now_us - observation.snapshot.at_us
            fresh = age_us is not None and abs(age_us) <= self._stale_us
            return AgentState(
                node=self._node,
                version=self._version,
                now_us=now_us,
                observation=observation if fresh else None,
                sample_age_us=age_us,
                sampling=self._vitals.sampling(),
                spool=self._vitals.spool(),
                blocked=self._vitals.blocked(),
                shipper=self._vitals.shipper(),
                devices=dict(self._devices),
                holders=dict(self._holders),
                tallies=self._tallies.pairs(),
                xids=dict(self._tallies.xids),
                dropped=self._tallies.dropped,
                lookups_failed=self._vitals.lookups_failed(),
            )


class MetricsServer:
    """Serves an exporter over HTTP until it is closed. Port 0 takes a free port; `port` tells which."""

    def __init__(self, exporter: Exporter, host: str, port: int, *, idle_s: float = IDLE_CONNECTION_S) -> None:
        class Handler(BaseHTTPRequestHandler):
            """Answers /metrics and /healthz."""

            timeout = idle_s
            disable_nagle_algorithm = True  # header and body are two writes: do not wait 40 ms between them

            def do_GET(self) -> None:
                """Answer one request."""
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, exporter.text())
                elif path == "/healthz":
                    self._answer(200, "text/plain; charset=utf-8", b"alive\n")
                else:
                    self._answer(404, "text/plain; charset=utf-8", b"metrics are at /metrics\n")

            def log_message(self, *_: object) -> None:
                """Keep scrapes out of the log."""

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} for /metrics: {error.strerror}",
                hint="choose another [exporter] port, or 0 for any free one",
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
