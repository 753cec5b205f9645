"""The demo's processes: a collector with its books, one agent per node, first over history and then live, the pages."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Self

from gpuledger.cli import demo_plan
from gpuledger.cli.demo_plan import DemoPlan
from gpuledger.cli.processes import Service, free_port, gpuledger_command
from gpuledger.cli.sources import HttpSource, Source
from gpuledger.tokens import ADMIN, SUFFIX, TOKEN_FILE, write_token

BOOKS: Final = tuple((kind, f"{kind}.toml") for kind in ("prices", "owners", "shares", "policies", "rules"))
COLLECTOR_PORT: Final = 8470
PAGES_PORT: Final = 8501
READY_S: Final = 60.0
POLL_S: Final = 1.0
MAX_AGENTS_AT_ONCE: Final = 4


class Fleet:
    """Everything that a demo runs; closing it stops all of it, the collector last. Port 0 takes any free port."""

    def __init__(self, directory: Path, port: int = COLLECTOR_PORT) -> None:
        self.directory = directory
        self._services: list[Service] = []
        self._closing = ExitStack()
        self._port = free_port(port)
        self.url = f"http://127.0.0.1:{self._port}"
        self.source: Source = HttpSource(self.url)
        self._closing.callback(self._let_go)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._closing.close()

    def start_collector(self) -> None:
        """Start the collector, wait until it can commit, and talk to it with the token that it made."""
        self._make_audit_key()
        config = self._write("config.toml", demo_plan.collector_settings(self.directory, self._port))
        collector = self._start("collector", gpuledger_command("collector", "--config", str(config)))
        collector.wait_ready(self._port, "/readyz", READY_S)
        self.source.close()
        self.source = HttpSource(self.url, self.token_file)

    def import_books(self) -> None:
        """Give the ledger the demo's prices, owners, shares, policies and rules."""
        for kind, name in BOOKS:
            with as_file(files("gpuledger.cli") / "demo_books" / name) as path:
                self.source.import_book(kind, path)

    def build_history(self, plan: DemoPlan, nodes: Sequence[str], cluster: str, tell: Callable[[], None]) -> None:
        """Run every node's agent over the plan's history, one more at a time than cores, so that none idles."""
        waiting, running = deque(nodes), list[Service]()
        while waiting or running:
            while waiting and len(running) < min((os.cpu_count() or 1) + 1, MAX_AGENTS_AT_ONCE):
                running.append(self._agent(plan, waiting.popleft(), cluster, live=False))
            time.sleep(POLL_S)
            self.check()
            running = [service for service in running if service.running]
            tell()

    def go_live(self, plan: DemoPlan, nodes: Sequence[str], cluster: str) -> None:
        """Let every node go on from where its history ends, with the time that passes now."""
        for node in nodes:
            self._agent(plan, node, cluster, live=True)

    def start_local_agent(self) -> None:
        """Start one agent for this machine's own GPUs."""
        config = self._write("agents/local.toml", demo_plan.local_agent_settings(self.directory, self.url))
        self._start("agent", gpuledger_command("agent", "--config", str(config)))

    def start_pages(self) -> str:
        """Serve the pages; return their address."""
        port = free_port(PAGES_PORT)
        command = gpuledger_command("dashboards", "--url", self.url, "--port", str(port))
        pages = self._start("dashboards", command, {TOKEN_FILE: str(self.identity("pages", "approver"))})
        pages.wait_ready(port, "/_stcore/health", READY_S)
        return f"http://127.0.0.1:{port}"

    def identity(self, name: str, role: str, owner: str = "*") -> Path:
        """Return the file of somebody's own token, made where there is none; the role is no more than they need."""
        path = self.token_file.with_name(f"{name}{SUFFIX}")
        if not path.exists():
            asked = {"role": role, "teams": [owner], "name": name}
            write_token(path, self.source.create_token(asked)["secret"])
        return path

    @contextmanager
    def acting(self, name: str, role: str, owner: str = "*") -> Iterator[Source]:
        """Talk to the collector as somebody with a token of their own."""
        source = HttpSource(self.url, self.identity(name, role, owner))
        try:
            yield source
        finally:
            source.close()

    def check(self) -> None:
        """Raise GpuLedgerError where a process ended with an error."""
        for service in self._services:
            service.check()

    def watch(self) -> None:
        """Return only when interrupted; raise where a process ends with an error."""
        while True:
            self.check()
            time.sleep(1)

    def _agent(self, plan: DemoPlan, node: str, cluster: str, *, live: bool) -> Service:
        kind = "live" if live else "history"
        settings = demo_plan.agent_settings(self.directory, plan, node, cluster, self.url, live=live)
        config = self._write(f"agents/{node}-{kind}.toml", settings)
        return self._start(f"agent-{node}-{kind}", gpuledger_command("agent", "--config", str(config)))

    def _make_audit_key(self) -> None:
        """Let the audit log be signed, so that it can be proved: the demo that goes on keeps its key."""
        from collector.audit.keys import make_key

        place = self.directory / demo_plan.AUDIT
        if not (place / "audit.key").exists():
            make_key(place)

    def _let_go(self) -> None:
        self.source.close()

    @property
    def token_file(self) -> Path:
        """Return where the collector keeps the token of its administrator."""
        return self.directory.absolute() / "access" / f"{ADMIN}{SUFFIX}"

    def _start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Service:
        service = Service(name, command, self._log(name), env)
        self._services.append(service)
        self._closing.callback(service.stop)
        return service

    def _log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def _write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
