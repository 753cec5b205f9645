"""The routing example: who is told what, by Alertmanager's own tool and by a real one behind a real Prometheus."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from alerts.build import ROOT, read_groups
from gpuledger.cli.processes import free_port

CONFIG = ROOT / "alertmanager" / "alertmanager.yml"
TOOLS = {name: shutil.which(name) for name in ("amtool", "prometheus", "prometheus-alertmanager")}
MISSING = sorted(name for name, path in TOOLS.items() if path is None)

if MISSING and os.environ.get("CI") == "true":
    pytest.fail(f"{MISSING} missing: apt-get install prometheus prometheus-alertmanager", pytrace=False)
pytestmark = pytest.mark.skipif(bool(MISSING), reason="apt-get install prometheus prometheus-alertmanager")

PAGE = """\
# TYPE gpuledger_spool_full gauge
gpuledger_xid_errors_total{node="a",device="GPU-1",gpu="0",model="H100",xid="79",class="bus"} %(errors)d
gpuledger_device_state{node="a",device="GPU-1",gpu="0",model="H100",state="held_idle"} 1
"""


def amtool(*arguments: str) -> str:
    """Run amtool; its output is the failure message."""
    done = subprocess.run([str(TOOLS["amtool"]), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_is_valid() -> None:
    """Alertmanager's own check takes it."""
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("owner=team team=vision severity=info", "team-vision"),
        ("owner=team team=speech severity=warning", "platform-digest"),
        ("severity=critical", "platform-on-call"),
        ("severity=warning", "platform"),
        ("owner=platform severity=critical", "platform-on-call"),
    ],
)
def test_who_is_told(labels: str, receiver: str) -> None:
    """A team hears of its own idle GPUs and of nothing else; the platform of the rest."""
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels.split()).strip() == receiver


def test_every_severity_and_owner_is_one_that_is_routed() -> None:
    """A label that no route knows would go to the wrong people."""
    labels = [rule["labels"] for group in read_groups() for rule in group["rules"] if "alert" in rule]
    assert {each["severity"] for each in labels} == {"info", "warning", "critical"}
    assert {each.get("owner") for each in labels} == {None, "platform", "team"}


def test_inhibitions_name_alerts_that_exist() -> None:
    """A rule that was renamed would inhibit nothing."""
    alerts = {rule["alert"] for group in read_groups() for rule in group["rules"] if "alert" in rule}
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            assert set(matcher.split('"')[1].split("|")) <= alerts


def test_an_xid_reaches_who_is_on_call(tmp_path: Path) -> None:
    """From an agent's page through a real Prometheus with our rules and a real Alertmanager to the receiver."""
    heard: queue.Queue[tuple[str, dict[str, object]]] = queue.Queue()
    with _receiver(heard) as (receiver, page), _running(tmp_path, receiver, page):
        path, told = heard.get(timeout=60)
    assert path == "/platform-on-call"
    [alert] = [each for each in told["alerts"] if each["labels"]["alertname"] == "GpuLedgerXid"]  # type: ignore[attr-defined]
    assert alert["annotations"]["summary"] == "XID 79 on 0 (a)"
    assert (ROOT.parent / alert["annotations"]["runbook"]).exists()


@contextmanager
def _receiver(heard: queue.Queue[tuple[str, dict[str, object]]]) -> Iterator[tuple[str, str]]:
    """Serve an agent's page whose error count goes up, and take what Alertmanager sends."""
    scrapes = iter(range(10**6))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer((PAGE % {"errors": next(scrapes)}).encode())

        def do_POST(self) -> None:
            heard.put((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        yield f"http://{address}", address
    finally:
        server.shutdown()


@contextmanager
def _running(folder: Path, receiver: str, page: str) -> Iterator[None]:
    """Run Alertmanager with the example, its receivers here and its waits short, and Prometheus with all our rules."""
    ports = [free_port(0), free_port(0)]
    config = CONFIG.read_text().replace("http://127.0.0.1:9099", receiver)
    config = config.replace("group_wait: 10s", "group_wait: 1s")
    (folder / "am.yml").write_text(config)
    (folder / "prom.yml").write_text(
        yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in sorted((ROOT / "rules").glob("*.yaml"))],
            "scrape_configs": [{"job_name": "gpuledger-agent", "static_configs": [{"targets": [page]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}]},
        })
    )  # fmt: skip
    commands = [
        [
            str(TOOLS["prometheus-alertmanager"]), f"--config.file={folder}/am.yml", f"--storage.path={folder}/am",
            f"--web.listen-address=127.0.0.1:{ports[0]}", "--cluster.listen-address=",
        ],
        [
            str(TOOLS["prometheus"]), f"--config.file={folder}/prom.yml", f"--storage.tsdb.path={folder}/prom",
            f"--web.listen-address=127.0.0.1:{ports[1]}",
        ],
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
        try:
            for port in ports:
                _wait(f"http://127.0.0.1:{port}/-/ready")
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=30)


def _wait(address: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{address} does not answer")
