"""`/metrics`, `/healthz` and `/readyz` over real sockets, also for clients that do not behave."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from agent.metrics.server import MAX_CONNECTIONS, MAX_HEAD, MetricsServer
from gpuledger.errors import ConfigError
from tests.agent.metrics_scene import STEP, Scene, everything
from tests.agent.nodes import MODEL, T0


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.show(everything(T0), T0)
    return made


@pytest.fixture
def server(scene: Scene) -> Iterator[MetricsServer]:
    running = MetricsServer(scene.exporter, "127.0.0.1", 0)
    yield running
    running.close()


def get(server: MetricsServer, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def talk(server: MetricsServer, sent: bytes) -> bytes:
    """Return everything that the server says to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(sent)
        received = b""
        while data := connection.recv(65_536):
            received += data
        return received


def test_metrics_are_served_on_a_free_port(server: MetricsServer, scene: Scene) -> None:
    """Port 0 takes a free port; an ordinary client reads the page in text format 0.0.4."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics?x=1", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.read() == scene.exporter.text()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/other", timeout=5)
    with pytest.raises(ConfigError, match="cannot listen"):
        MetricsServer(scene.exporter, "127.0.0.1", server.port)


def test_a_scraper_gets_what_it_accepts(server: MetricsServer) -> None:
    """OpenMetrics and gzip, where both are asked for."""
    answer = get(server, "/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["Content-Encoding"] == "gzip"
    page = gzip.decompress(answer.read()).decode()
    assert page.endswith("# EOF\n")
    assert f'model="{MODEL}"' in page


def test_health_says_since_when_there_is_no_sample(server: MetricsServer, scene: Scene) -> None:
    """An agent without fresh readings is alive, for it delivers, but not ready; both say how old the last one is."""
    assert json.load(get(server, "/healthz")) == {
        "status": "alive",
        "ready": True,
        "last_sample": "2026-01-01T00:00:00.000Z",
        "last_sample_age_seconds": 0.0,
    }
    assert get(server, "/readyz").status == 200
    scene.clock.advance_to(T0 + 4 * STEP)
    healthy, ready = get(server, "/healthz"), get(server, "/readyz")
    assert (healthy.status, ready.status) == (200, 503)
    assert json.load(healthy) == json.load(ready)


def test_before_the_first_sample_an_agent_is_alive_and_not_ready() -> None:
    """What has read nothing says so."""
    server = MetricsServer(Scene().exporter, "127.0.0.1", 0)
    try:
        assert get(server, "/readyz").status == 503
        found = json.load(get(server, "/healthz"))
        assert (found["status"], found["last_sample"], found["last_sample_age_seconds"]) == ("alive", None, None)
    finally:
        server.close()


def test_a_connection_serves_several_requests(server: MetricsServer) -> None:
    """Scrapers keep their connection; requests sent at once are answered in order; HEAD has no body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for path in ("/healthz", "/metrics", "/healthz"):
        connection.request("GET", path)
        assert connection.getresponse().read()
    connection.request("HEAD", "/metrics")
    head = connection.getresponse()
    assert int(head.headers["Content-Length"]) > 1_000
    assert head.read() == b""
    both = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /other HTTP/1.1\r\nConnection: close\r\n\r\n"
    answers = talk(server, both)
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 404")) == (1, 1)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /metrics HTTP/9\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"\xff\xfe /x HTTP/1.1\r\n\r\nrest", 405),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * MAX_HEAD, 431),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 200),
    ],
)
def test_whoever_does_not_speak_http_is_told_and_let_go(server: MetricsServer, sent: bytes, status: int) -> None:
    """Malformed, oversized and unwanted requests get one answer, and the connection ends."""
    if status == 405 and sent.startswith(b"\xff"):
        sent = sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = talk(server, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert get(server, "/healthz").status == 200


def test_a_connection_that_asks_for_nothing_is_closed(scene: Scene) -> None:
    """Whoever connects and stays silent, or asks one byte at a time, does not keep a thread of the agent for ever."""
    server = MetricsServer(scene.exporter, "127.0.0.1", 0, idle_s=0.05)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as silent:
            silent.sendall(b"GET /metr")
            assert silent.recv(1) == b""
    finally:
        server.close()


def test_one_connection_too_many_is_told_to_come_again(server: MetricsServer) -> None:
    """The number of threads is bounded; when a connection ends there is room again."""
    held = []
    for _ in range(MAX_CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        held.append(connection)
    assert talk(server, b"").startswith(b"HTTP/1.1 503 ")
    for connection in held:
        connection.close()
    while get(server, "/healthz").status == 503:  # until the threads have seen that nobody is there
        pass


def test_it_listens_on_ipv6(scene: Scene) -> None:
    """A pod's address may be an IPv6 address."""
    try:
        server = MetricsServer(scene.exporter, "::1", 0)
    except ConfigError as error:
        pytest.skip(f"no IPv6 here: {error}")
    try:
        with socket.create_connection(("::1", server.port), timeout=5) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
    finally:
        server.close()
