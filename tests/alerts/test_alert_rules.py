"""The alert rules, checked and unit-tested by Prometheus' own tool."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ALERTS = Path(__file__).parents[2] / "alerts"
PROMTOOL = shutil.which("promtool")
RULE_FILES = sorted((ALERTS / "rules").glob("*.yaml"))

if PROMTOOL is None and os.environ.get("CI") == "true":
    pytest.fail("promtool is missing: apt-get install prometheus", pytrace=False)
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")


def promtool(*arguments: str) -> str:
    """Run promtool; its output is the failure message."""
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_rules_are_valid() -> None:
    """Every rule file passes promtool's syntax check, and there are rules in it."""
    output = promtool("check", "rules", *map(str, RULE_FILES))
    assert re.search(r"SUCCESS: [1-9]\d* rules found", output)


@needs_promtool
def test_rules_fire_and_resolve_as_their_unit_tests_say() -> None:
    """Every unit test of alerts/tests passes."""
    promtool("test", "rules", *map(str, sorted((ALERTS / "tests").glob("*_test.yaml"))))


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_every_alert_has_a_unit_test_and_a_runbook(path: Path) -> None:
    """An alert without a test that sees it fire, or without its page, does not land."""
    tested = "".join(test.read_text() for test in (ALERTS / "tests").glob("*_test.yaml"))
    alerts = re.findall(r"- alert: (\w+)", path.read_text())
    assert alerts, "a file of records alone belongs beside the alerts that use them"
    for alert in alerts:
        assert f"alertname: {alert}" in tested
        runbook = (ALERTS / "runbooks" / f"{alert}.md").read_text()
        for question in ("What it means", "How to check", "How to fix", "When to ignore"):
            assert f"**{question}.**" in runbook


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_every_metric_of_a_rule_exists(path: Path) -> None:
    """A rule on a name that nothing exports would never fire: names are those of the generated reference."""
    reference = (ALERTS.parent / "docs" / "reference" / "metrics.md").read_text()
    known = set(re.findall(r"^\| `(gpuledger_\w+)`", reference, re.MULTILINE))
    rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    used = set(re.findall(r"\bgpuledger_\w+", " ".join(rule["expr"] for rule in rules)))
    assert used
    assert used - known == set()


def test_every_record_that_is_used_is_made() -> None:
    """An alert on a recording rule that nobody records would never fire."""
    rules = [
        rule for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
    ]
    made = {rule["record"] for rule in rules if "record" in rule}
    used = set(re.findall(r"\bgpuledger:[\w:]+", " ".join(rule["expr"] for rule in rules)))
    assert used
    assert used <= made
