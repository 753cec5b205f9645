"""The agent beside nvitop-exporter on one driver library: CPU and memory at 1 Hz, as ratios, measured at the same time.

8 GPUs with 32 real processes on the C driver of tests/driver. Both are sampled and scraped each second; a scrape alone
is then the CPU of many in a row. The agent's figures are those of all its processes together, and of one process
(`[nvml] child = false`) for comparison.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.process_figures import Usage, free_port, tree_of, usage_of
from tests.driver.build import INSTALL, build, missing
from tests.driver.control import World, deal, preload

SECONDS: Final = 20
WARM_UP_S: Final = 66  # the agent looks at a young process again, the last time at its 64th reading
SCRAPES: Final = 100
PROCESSES: Final = 32


class Peer(NamedTuple):
    """A program under measurement."""

    name: str
    process: subprocess.Popen[bytes]
    url: str


class Figures(NamedTuple):
    """What one program cost."""

    cpu_percent: float
    scrape_ms: float
    series: int
    usage: Usage


class Sink(BaseHTTPRequestHandler):
    """A collector that takes everything."""

    def do_POST(self) -> None:
        """Take a batch."""
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"duplicate": false}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def start_agent(name: str, directory: Path, environment: dict[str, str], collector: str, extra: str = "") -> Peer:
    """Start the agent as an operator would."""
    port = free_port()
    config = directory / f"{name}.toml"
    config.write_text(
        f"""
        [agent]
        name = "{name}"
        [sampling]
        interval_ms = 1000
        [spool]
        directory = "{directory / name}"
        [collector]
        url = "{collector}"
        [exporter]
        port = {port}
        [nvml]
        {extra}
        """
    )
    command = [str(Path(sys.executable).with_name("gpuledger")), "agent", "--config", str(config)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    return Peer(name, process, f"http://127.0.0.1:{port}/metrics")


def start_peer(environment: dict[str, str], library: Path) -> Peer:
    """Start nvitop-exporter, which reads once a second by itself."""
    port = free_port()
    program = str(Path(sys.executable).with_name("nvitop-exporter"))
    command = [program, "--bind-address", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command, env={**environment, **preload(library)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return Peer("nvitop-exporter", process, f"http://127.0.0.1:{port}/metrics")


def scrape(peer: Peer) -> int:
    """Return how many series its page has."""
    with urllib.request.urlopen(peer.url, timeout=10) as answer:
        return sum(not line.startswith(b"#") for line in answer.read().splitlines())


def wait_until_up(peer: Peer) -> None:
    """Return once it serves."""
    deadline = time.monotonic() + 30
    up = False
    while not up:
        try:
            up = scrape(peer) > 0
        except OSError:
            if peer.process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def measure(peers: list[Peer]) -> list[Figures]:
    """Return what each costs while all of them run and are scraped each second."""
    for _ in range(WARM_UP_S):
        for peer in peers:
            scrape(peer)
        time.sleep(1)
    before = [usage_of(tree_of(peer.process.pid)) for peer in peers]
    began = time.monotonic()
    for second in range(SECONDS):
        for peer in peers:
            scrape(peer)
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    elapsed_s = time.monotonic() - began
    after = [usage_of(tree_of(peer.process.pid)) for peer in peers]
    figures = []
    for peer, start, end in zip(peers, before, after, strict=True):
        cpu_percent = (end.cpu_s - start.cpu_s) / elapsed_s * 100
        scrape_ms, series = scrape_cost(peer, cpu_percent)
        figures.append(Figures(cpu_percent, scrape_ms, series, end))
    return figures


def scrape_cost(peer: Peer, idle_percent: float) -> tuple[float, int]:
    """Return the CPU of one scrape in milliseconds, without what the program does anyway, and its series."""
    before, began, series = usage_of(tree_of(peer.process.pid)), time.monotonic(), 0
    for _ in range(SCRAPES):
        series = scrape(peer)
    elapsed_s = time.monotonic() - began
    spent_s = usage_of(tree_of(peer.process.pid)).cpu_s - before.cpu_s - elapsed_s * idle_percent / 100
    return spent_s / SCRAPES * 1e3, series


def run() -> list[tuple[Peer, Figures]]:
    """Return the figures of the agent, of the agent in one process, and of its peer."""
    library = build()
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        holders = [subprocess.Popen(["sleep", "600"]) for _ in range(PROCESSES)]
        for holder in holders:
            closing.callback(end, holder)
        world = World(directory, *deal([holder.pid for holder in holders]))
        sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        closing.callback(sink.shutdown)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        collector = f"http://127.0.0.1:{sink.server_address[1]}"
        environment = {**os.environ, **world.environment, "GPULEDGER_NVML_LIBRARY": str(library)}
        peers = [
            start_agent("gpuledger", directory, environment, collector),
            start_agent("gpuledger-one-process", directory, environment, collector, "child = false"),
            start_peer({**os.environ, **world.environment}, library),
        ]
        for peer in peers:
            closing.callback(end, peer.process)
        for peer in peers:
            wait_until_up(peer)
        return list(zip(peers, measure(peers), strict=True))


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program and wait for it."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Print the figures, and each as a ratio to the peer's."""
    absent = missing()
    if absent:
        print(f"cannot run: {absent} ({INSTALL})", file=sys.stderr)
        return 1
    found = run()
    peer = found[-1][1]
    print(f"{PROCESSES} processes on 8 GPUs, {SECONDS} s at 1 Hz; ratios to {found[-1][0].name}")
    print(f"{'':24} {'CPU %':>14} {'CPU ms/scrape':>16} {'series':>7} {'PSS MiB':>14} {'processes':>10}")
    for program, figures in found:
        usage = figures.usage
        cpu = f"{figures.cpu_percent:>7.3f} {figures.cpu_percent / peer.cpu_percent:>5.2f}x"
        scrapes = f"{figures.scrape_ms:>9.2f} {figures.scrape_ms / peer.scrape_ms:>5.2f}x {figures.series:>7}"
        memory = f"{usage.pss_mib:>7.1f} {usage.pss_mib / peer.usage.pss_mib:>5.2f}x"
        print(f"{program.name:24} {cpu} {scrapes} {memory} {usage.processes:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
