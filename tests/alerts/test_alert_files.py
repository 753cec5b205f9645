"""What is made of the rules: a manifest for the operator, provisioned rules for Grafana."""

import re
from pathlib import Path

import pytest
import yaml

from alerts.build import DATASOURCE, ROOT, files, read_groups
from tests.alerts.test_alert_rules import needs_promtool, promtool

GRAFANA = yaml.safe_load((ROOT / "grafana" / "rules.yaml").read_text())
RULES = [rule for group in GRAFANA["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_made_files_are_in_step(path: Path) -> None:
    """A rule that was changed in one place is changed in all: run `python -m alerts.build`."""
    assert path.read_text() == files()[path]


@needs_promtool
def test_the_operator_gets_rules_that_prometheus_takes(tmp_path: Path) -> None:
    """The groups of the manifest are what Prometheus reads, all of them."""
    manifest = yaml.safe_load((ROOT / "kubernetes" / "prometheusrule.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(manifest["spec"]))
    said = promtool("check", "rules", str(tmp_path / "rules.yaml"))
    count = sum(len(group["rules"]) for group in read_groups())
    assert f"SUCCESS: {count} rules found" in said


def test_grafana_gets_every_alert_once() -> None:
    """Each has a name of its own that Grafana takes, and fires wherever its query gives a series."""
    alerts = [rule["alert"] for group in read_groups() for rule in group["rules"] if "alert" in rule]
    assert [rule["title"] for rule in RULES] == alerts
    assert len({rule["uid"] for rule in RULES}) == len(alerts)
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"]), "Grafana refuses longer ones"
        query, fires, threshold = rule["data"]
        assert (query["datasourceUid"], threshold["refId"]) == (DATASOURCE, rule["condition"])
        assert fires["model"]["expression"].count(f"${query['refId']}") == 3, "a series of value 0 fires as well"
        assert "$value " not in rule["annotations"]["summary"], "in Grafana that is a text about all steps"
