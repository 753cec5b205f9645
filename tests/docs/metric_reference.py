"""The page of every metric, made from what the real exporter and the real collector say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.dcgm_fields import FAMILIES as DCGM_FAMILIES
from agent.dcgm_fields import LABELS as DCGM_LABELS
from agent.metrics.family import Family
from agent.metrics.labels import DEVICE_LABELS, HOLDER_LABELS, MAX_LENGTH
from collector.api.budget_metrics import BudgetFigures
from collector.api.metrics import (
    AdmissionCollector,
    AdmissionState,
    CollectorMetrics,
    DriftFigures,
    FiguresCollector,
    LedgerFigures,
    LogCollector,
    ShareFigures,
    TeamFigures,
)
from collector.api.quota_metrics import QuotaFigures
from collector.audit.watching import LogState
from tests.agent.metrics_scene import Scene, run

_HEAD = f"""# Metrics

This page is made from the running code by `tests/docs/test_metric_reference.py` (`pytest --update-golden` writes it).

## The agent

`http://<node>:9470/metrics`, in Prometheus' text format 0.0.4 or OpenMetrics 1.0, compressed where the scraper takes
gzip. A value that could not be read is absent, never 0; readings older than three intervals are absent. In the table
*device* stands for the labels {", ".join(f"`{name}`" for name in DEVICE_LABELS)}, and *holder* for
{", ".join(f"`{name}`" for name in HOLDER_LABELS)}; they are empty where
they do not apply. Label values have at most {MAX_LENGTH} characters; what had to be cut or cleaned ends in `~` and a digest.

`/healthz` answers 200 as long as the process does, and says since when there has been no sample: an agent whose driver
does not answer goes on delivering, and starting it anew would not help. `/readyz` answers 200 where the last sample is at
most three intervals old, else 503.

A page has at most `[exporter] max_series` series. Half of them may be taken by holders; beyond that, those that left
first and then those that came last are counted together under `holder="other"` of their device. Should a page still be
too long its largest families are cut evenly, and those whose sum means something show the rest as one series whose labels
are `other`. Sums stay right, and `gpuledger_series_dropped_total` counts.

"""

_DCGM = """## DCGM's names

With `[exporter] dcgm_names = true` the same readings stand there under the names that dashboards made for dcgm-exporter
read, too. Labels:
{labels}.
`GPU_I_*` stand only on MIG instances (`GPU_CI_ID` only where compute instances share one), `hpc_job` only where a Slurm
job holds the device; pod labels are empty where no pod does. What differs from dcgm-exporter, because its page would be
added up wrongly:

- what a board has once stands once: power, energy, temperatures, clocks and errors of a board with MIG are not repeated
  for each instance, and have no `GPU_I_*`;
- on a device that several pods share, memory and utilisation are each pod's own where that is known; nothing else is
  copied to each of them, it stands once without a pod;
- what could not be read is absent, where DCGM writes a blank of about 2^63; `DCGM_FI_DEV_XID_ERRORS` is absent before
  the first XID;
- `DCGM_EXP_XID_ERRORS_COUNT` is a gauge, since the count of a window goes down, too; in OpenMetrics DCGM's counters are
  of unknown type, since they are not named as counters there.

"""

_COLLECTOR = """## The collector

`http://<collector>:8470/metrics`, in Prometheus' text format.

"""


def page() -> str:
    """Return the whole page."""
    agent = _table(("name", "type", "unit", "labels", "says", "DCGM's"), map(_agent_row, shown(dcgm_names=False)))
    dcgm = _table(("name", "type", "unit", "says"), map(_dcgm_row, DCGM_FAMILIES))
    collector = _table(("name", "type", "labels", "says"), _collector_rows())
    labels = ", ".join(f"`{name}`" for name in DCGM_LABELS)
    return f"{_HEAD}{agent}\n{_DCGM.format(labels=labels)}{dcgm}\n{_COLLECTOR}{collector}"


def shown(*, dcgm_names: bool) -> list[Family]:
    """Return the families that an exporter shows of a node that has everything."""
    scene = Scene(dcgm_names=dcgm_names)
    run(scene)
    return [family for family, samples in scene.exporter.families() if samples]


def _agent_row(family: Family) -> tuple[str, ...]:
    twin = f"`{family.twin}`" if family.twin else ""
    return f"`{family.name}`", family.kind, family.unit, _labels(family.labels), family.help, twin


def _dcgm_row(family: Family) -> tuple[str, ...]:
    own = family.labels[len(DCGM_LABELS) :]
    text = family.help + (f" Also labelled {', '.join(f'`{name}`' for name in own)}." if own else "")
    return f"`{family.name}`", family.kind, family.unit, text


def _labels(labels: tuple[str, ...]) -> str:
    words, rest = [], labels
    for word, known in (("*device*", DEVICE_LABELS), ("*holder*", HOLDER_LABELS)):
        if rest[: len(known)] == known:
            words.append(word)
            rest = rest[len(known) :]
    return ", ".join([*words, *(f"`{name}`" for name in rest)])


def _collector_rows() -> Iterator[tuple[str, ...]]:
    """Yield the collector's families, of a ledger in which there is one of everything."""
    metrics, figures = CollectorMetrics(), CollectorRegistry()
    metrics.refused("overlap")
    team = TeamFigures("vision", 1.0, {"active": 1.0})
    share = ShareFigures("vision", "default", "train", "*", 4.0, 5.0, 1.0)
    drift = DriftFigures("team:vision", "power_w", 0.4)
    budget = BudgetFigures("acme/research", "month", "EUR", 1.0, 1.0, 1.0)
    quota = QuotaFigures("acme/research", "NVIDIA H100*", "", 16.0, 12.0)
    of_all = LedgerFigures(
        "EUR", (team,), 1.0, 1.0, {"default": 0}, (share,), (drift,), {"team": 1}, (budget,), quotas=(quota,)
    )
    figures.register(AdmissionCollector(AdmissionState("shadow", 1.0, 1.0)))
    figures.register(LogCollector(LogState(1)))
    figures.register(FiguresCollector(of_all, 1))
    for text in (generate_latest(metrics.registry), generate_latest(figures)):
        for family in text_string_to_metric_families(text.decode()):
            if family.name.endswith("_created"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {name: None for sample in family.samples for name in sample.labels if name != "le"}
            yield f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), f"{family.documentation}."


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)
