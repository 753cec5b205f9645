"""The rules for where they run: a PrometheusRule for the operator, provisioned rules for Grafana. Source: `rules/`.

`python -m alerts.build` writes both files; a test keeps them in step with the rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parent
DATASOURCE: Final = "prometheus"  # the uid that grafana/datasource.yaml gives it
_MADE: Final = "# Made from alerts/rules by `python -m alerts.build`; change the rules, not this file.\n"
_FIRES: Final = (
    "is_number($A) || is_nan($A) || is_inf($A)"  # a Prometheus alert is a series that is there, whatever its value
)
_LOOK_BACK_S: Final = 600
Document = Mapping[str, Any]


def read_groups(folder: Path = ROOT / "rules") -> list[Document]:
    """Return the rule groups of all files, in order of their names."""
    return [group for path in sorted(folder.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]


def prometheus_rule(groups: list[Document]) -> str:
    """Return the manifest that Prometheus' operator loads."""
    return _dump({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "gpuledger", "labels": {"app.kubernetes.io/name": "gpuledger"}},
        "spec": {"groups": groups},
    })  # fmt: skip


def grafana_rules(groups: list[Document]) -> str:
    """Return alert rules as Grafana provisions them; recording rules stay with Prometheus, which they write to."""
    made = [
        {
            "orgId": 1,
            "name": group["name"],
            "folder": "gpuledger",
            "interval": group.get("interval", "1m"),
            "rules": [_grafana_rule(rule) for rule in group["rules"] if "alert" in rule],
        }
        for group in groups
    ]
    return _dump({"apiVersion": 1, "groups": [group for group in made if group["rules"]]})


def files() -> dict[Path, str]:
    """Return what each made file should hold."""
    groups = read_groups()
    return {
        ROOT / "kubernetes" / "prometheusrule.yaml": prometheus_rule(groups),
        ROOT / "grafana" / "rules.yaml": grafana_rules(groups),
    }


def _grafana_rule(rule: Document) -> Document:
    """Return one rule: the query, whether it gives a series at all, and the threshold on that."""
    return {
        "uid": re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"]).lower(),
        "title": rule["alert"],
        "condition": "C",
        "data": [
            _step("A", DATASOURCE, {"expr": rule["expr"], "instant": True, "range": False}),
            _step("B", "__expr__", {"type": "math", "expression": _FIRES}),
            _step(
                "C",
                "__expr__",
                {
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [{"evaluator": {"type": "gt", "params": [0]}, "type": "query"}],
                },
            ),
        ],
        "for": rule.get("for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": rule["labels"],
        "annotations": {
            "summary": _grafana_words(rule["annotations"]["summary"]),
            "runbook_url": rule["annotations"]["runbook"],
        },
    }


def _step(ref: str, datasource: str, model: Document) -> Document:
    span = {"from": _LOOK_BACK_S, "to": 0}
    return {"refId": ref, "relativeTimeRange": span, "datasourceUid": datasource, "model": {"refId": ref, **model}}


def _grafana_words(summary: str) -> str:
    """Return a summary whose value is the query's: in Grafana `$value` is a text about all steps."""
    return summary.replace("$value", "$values.A.Value")


def _dump(document: Document) -> str:
    return f"{_MADE}{yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)}"


def main() -> None:
    """Write the files."""
    for path, content in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
