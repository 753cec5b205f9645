"""Grafana's dashboards: in step with their code, on metrics that exist, and every query answered by a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.build import DATASOURCE
from alerts.build import ROOT as ALERTS
from dashboards.grafana.build import FOLDER, documents
from gpuledger.cli.processes import free_port
from tests.e2e.processes import NODES, Fleet, gpuledger

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
QUERIES = [(name, panel["title"], target["expr"]) for name, panel in PANELS for target in panel["targets"]]
PROMETHEUS = shutil.which("prometheus")
RECORDS = [path for path in (ALERTS / "rules").glob("*.yaml") if "record:" in path.read_text()]
RARE = {"Uncorrected memory errors"}  # only boards with ECC errors to count have the series
BUDGET = """
[[budget]]
owner = "*"
period = "month"
currency = "EUR"
amount = "5000"
stages = [{ at = 80, tell = ["finance"] }]
"""

if PROMETHEUS is None and os.environ.get("CI") == "true":
    pytest.fail("prometheus is missing: apt-get install prometheus", pytrace=False)


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_the_json_is_in_step(path: Path) -> None:
    """What Grafana loads is what the code says: run `python -m dashboards.grafana.build`."""
    assert path.read_text() == documents()[path]


def test_every_board_is_a_board_of_its_own() -> None:
    """Each has its name and address, says which data source to ask, and leads to the others."""
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 6
    for board in BOARDS.values():
        assert "datasource" in [variable["name"] for variable in board["templating"]["list"]]
        assert [link["type"] for link in board["links"]] == ["dashboards", "link"]
    for _, panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table"


def test_every_metric_exists() -> None:
    """A panel on a name that nothing exports stays empty for ever."""
    reference = (ALERTS.parent / "docs" / "reference" / "metrics.md").read_text()
    known = set(re.findall(r"^\| `(gpuledger_\w+)`", reference, re.MULTILINE))
    used = {name for *_, expr in QUERIES for name in re.findall(r"\bgpuledger_\w+", expr)}
    assert {name.removesuffix("_bucket") for name in used} - known == set()


def test_provisioned_rules_ask_the_provisioned_data_source() -> None:
    """Alert rules that Grafana runs name the data source by its uid."""
    provisioned = yaml.safe_load((FOLDER.parent / "provisioning" / "datasource.yaml").read_text())
    assert [source["uid"] for source in provisioned["datasources"]] == [DATASOURCE]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a Prometheus that has scraped two live agents and their collector, with our recording rules."""
    if PROMETHEUS is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("grafana")
    fleet = Fleet(folder / "fleet", speed=0)
    ports = {node: free_port(0) for node in NODES}
    _live(fleet, ports)
    fleet.start("collector")
    try:
        fleet.wait_ready()
        fleet.import_books()
        (fleet.folder / "budgets.toml").write_text(BUDGET)
        done = gpuledger("budget", "import", str(fleet.folder / "budgets.toml"), "--url", fleet.url)
        assert done.returncode == 0, done.stderr
        fleet.kill("collector")  # where budgets stand is read at the start, and every five minutes
        fleet.start("collector")
        fleet.wait_ready()
        for node in NODES:
            fleet.start(node)
        port = free_port(0)
        process = _scrape(folder, port, {"gpuledger-agent": [*ports.values()], "gpuledger-collector": [fleet.port]})
        try:
            address = f"http://127.0.0.1:{port}"
            _until(address, "count(count_over_time(gpuledger_holder_active_seconds_total[1m]) > 8)", fleet)
            _until(address, "count_over_time(gpuledger_team_cost_total[1m]) > 8", fleet)
            _until(address, "gpuledger:team_cost:month_to_date", fleet)
            _until(address, "gpuledger:budget_burn:rate1d", fleet)
            yield address
        finally:
            process.terminate()
            process.wait(30)
    finally:
        fleet.stop_all()


@pytest.mark.parametrize(("board", "title", "expr"), QUERIES)
def test_every_query_is_answered(prometheus: str, board: str, title: str, expr: str) -> None:
    """No panel is empty on a fleet that runs."""
    asked = re.sub(r"\$\w+", ".*", expr)
    found = _ask(prometheus, asked)
    assert found or title in RARE, f"{board}: {asked}"


def test_totals_of_rules_are_the_ledgers(prometheus: str) -> None:
    """Of each team, scraped and recorded while agents deliver; the month so far and its beginning make the total."""
    start, month, total = (f"gpuledger:team_cost:{name}" for name in ("at_month_start", "month_to_date", "total"))
    of = "on (team, currency)"
    for gap in (f"{start} + {month} - {of} {total}", f"{total} - {of} gpuledger_team_cost_total"):
        [found] = _ask(prometheus, f"max(abs({gap}))")
        assert float(found["value"][1]) < 1, "what was delivered between a scrape and the rules"


def _live(fleet: Fleet, ports: dict[str, int]) -> None:
    """Let agents catch up with a short past, then go on with time, and show their metrics."""
    now = datetime.now(tz=UTC)
    begin, end = (f"{at:%Y-%m-%dT%H:%M:00Z}" for at in (now - timedelta(hours=2), now))
    for node, port in ports.items():
        path = fleet.folder / f"{node}.toml"
        text = path.read_text().replace("[exporter]\nenabled = false\n", f"[exporter]\nport = {port}\n")
        text = re.sub(r"from = \S+\nuntil = \S+\n", f"from = {begin}\nuntil = {end}\nlive = true\n", text)
        path.write_text(text)


def _scrape(folder: Path, port: int, jobs: dict[str, list[int]]) -> subprocess.Popen[bytes]:
    rules = folder / "rules"
    rules.mkdir()
    for path in RECORDS:
        (rules / path.name).write_text(re.sub(r"interval: \d+m", "interval: 1s", path.read_text()))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{rules}/*.yaml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{each}" for each in targets]}]}
            for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        return subprocess.Popen(
            [
                str(PROMETHEUS), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip


def _until(address: str, expr: str, fleet: Fleet) -> None:
    deadline = time.monotonic() + 120
    while not _ask(address, expr):
        assert time.monotonic() < deadline, f"{expr}: {fleet.log(NODES[0])[-2000:]} {fleet.log('collector')[-2000:]}"
        time.sleep(0.5)


def _ask(address: str, expr: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expr})
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return []  # it listens and is not ready yet
        pytest.fail(f"{expr}: {error.read().decode()}")
    except OSError:
        return []  # it is still starting
