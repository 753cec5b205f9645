"""How money, hours, energy, shares, instants and periods read to a person, in a terminal and on a page alike."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from analytics import words
from gpuledger.model import UNWATCHED_STATES

title: Final = words.title
UNKNOWN: Final = "\N{EN DASH}"
_RUN_ID: Final = re.compile(r"(?<=/)([0-9a-f]{8})[0-9a-f]{24}$")

STATE_WORDS: Final = {
    "active": "Active",
    "held_idle": "Held idle",
    "held_unobserved": "Held, not observed",
    "ungranted": "Ungranted",
    "idle": "Idle",
    "unavailable": "Unavailable",
    "unobserved": "Unobserved",
}

REASON_WORDS: Final = {
    "memory_held": "Keeps memory, runs nothing",
    "never_started": "Never ran a kernel",
    "no_process": "Has no process any more",
    "starved": "Waits for data",
    "throttled": "Throttled",
    "stalled": "Stalled",
    "free": "Free",
    "stranded": "Left over by MIG",
    "fewer_gpus": "Fewer GPUs would do",
    "smaller_profile": "A smaller MIG profile would do",
    "cheaper_model": "A cheaper model would do",
    "gpu_lost": "GPU lost",
    "reset_required": "Needs a reset",
    "agent_down": "Agent down",
    "no_samples": "No samples",
    "unreadable": "Could not be read",
    "no_data": "No data arrived",
    "unknown": "Not known",
    "": "",
}

KIND_WORDS: Final = {
    "idle": "Idle capacity",
    "unavailable": "Unavailable",
    "unobserved": "Unobserved",
    "unnamed": "Without a name",
    "unattributed": "Unattributed",
    "held_not_used": "Held, not used",
}

DIMENSION_WORDS: Final = {
    "organisation": ("Organisation", "Organisations"),
    "team": ("Team", "Teams"),
    "user": ("User", "Users"),
    "project": ("Project", "Projects"),
    "department": ("Department", "Departments"),
    "workload": ("Workload", "Workloads"),
    "system": ("MLOps system", "MLOps systems"),
    "namespace": ("Namespace", "Namespaces"),
    "slurm_account": ("Slurm account", "Slurm accounts"),
    "model": ("GPU model", "GPU models"),
    "node": ("Node", "Nodes"),
    "device": ("Device", "Devices"),
    "cluster": ("Cluster", "Clusters"),
}

SYSTEM_WORDS: Final = {
    "": "Not recognised",
    "argo": "Argo Workflows",
    "bentoml": "BentoML",
    "deepspeed": "DeepSpeed",
    "dvc": "DVC",
    "ecs": "Amazon ECS",
    "jobset": "JobSet",
    "jupyterhub": "JupyterHub",
    "kfp": "Kubeflow Pipelines",
    "kserve": "KServe",
    "lws": "LeaderWorkerSet",
    "mlflow": "MLflow",
    "runai": "Run:ai",
    "tgi": "Text Generation Inference",
    "torchrun": "torchrun",
    "vllm": "vLLM",
    "wandb": "Weights & Biases",
}
HOLDER_WORDS: Final = {
    "pod": "Kubernetes",
    "slurm_job": "Slurm",
    "container": "Container",
    "user": "Processes of a user",
}

_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF "}


def symbol(currency: str) -> str:
    """Return what stands before an amount: a sign, or the code and a space."""
    return _SYMBOLS.get(currency, f"{currency} ") if currency else ""


def money(amount: Decimal | None, currency: str, places: int = 2) -> str:
    """Return `€1,234.50`; with `places` 0 the nearest whole unit."""
    if amount is None:
        return UNKNOWN
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    sign = "-" if rounded < 0 else ""
    return f"{sign}{symbol(currency)}{abs(rounded):,}"


def money_short(amount: Decimal, currency: str) -> str:
    """Return an amount for a headline: cents below a hundred, whole units from there, millions as `€1.25 M`."""
    if abs(amount) >= 10_000_000:
        return f"{money(amount / 1_000_000, currency)} M"
    return money(amount, currency, 2 if abs(amount) < 100 else 0)


def amount(text: str | None, places: int = 2) -> str:
    """Return an exact amount for a column whose heading names the currency: `1,234.50`."""
    if text is None:
        return UNKNOWN
    return f"{Decimal(text).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN):,}"


def hours(value: float | None) -> str:
    """Return GPU-hours for a sentence, with as many decimals as they deserve."""
    if value is None:
        return UNKNOWN
    if value and abs(value) < 10:
        return f"{value:,.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def hours_column(value: float | None) -> str:
    """Return GPU-hours for a table, where decimals line up."""
    return UNKNOWN if value is None else f"{value:,.1f}"


def share(part: Decimal | float, whole: Decimal | float) -> str:
    """Return `41 %`; an empty whole has no shares; what exists but rounds to nothing is `<1 %`."""
    if not whole:
        return UNKNOWN
    percent = float(part) / float(whole) * 100
    if 0 < percent < 1:
        return "<1 %"
    return ">99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def watched_hours(hours: float, states: Mapping[str, float]) -> float:
    """Return the part of `hours` in which somebody could see whether work was done: what active time is a share of."""
    return hours - sum(states.get(state.label, 0.0) for state in UNWATCHED_STATES)


def change(now: Decimal, before: Decimal) -> str:
    """Return `+12 %` or `-3 %` against an earlier figure; empty where there was none."""
    if not before:
        return ""
    percent = round(float((now - before) / before) * 100)
    return f"{percent:+d} %".replace("-", "\N{MINUS SIGN}") if percent else "±0 %"


def instant(at: int | str | None) -> str:
    """Return `24 Nov 2026, 03:00 UTC` for microseconds since the epoch, or for ISO 8601 text."""
    if at is None:
        return UNKNOWN
    moment = datetime.fromtimestamp(at // 1_000_000, tz=UTC) if isinstance(at, int) else datetime.fromisoformat(at)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def month_name(period: str) -> str:
    """Return `November 2026` for `2026-11`; any other period as it is."""
    year, _, month = period.partition("-")
    if len(period) == 7 and year.isdigit() and month.isdigit():
        return f"{calendar.month_name[int(month)]} {year}"
    return period


def days(period: str) -> str:
    """Return `21 Oct to 24 Nov 2026` for `2026-10-21..2026-11-25`, whose last day is excluded; others as months."""
    start, dots, end = period.partition("..")
    try:
        first, last = date.fromisoformat(start), date.fromisoformat(end) - timedelta(days=1)
    except ValueError:
        return period if dots else month_name(period)
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} to {last.day} {last:%b %Y}"


def run_name(name: str) -> str:
    """Return `train/9a7a3933…` for a run that its tool knows by 32 digits; any other name as it is."""
    return _RUN_ID.sub(r"\1…", name)


def system(name: str) -> str:
    """Return what the tool is called that started a workload."""
    return SYSTEM_WORDS.get(name) or title(name)


def state(name: str) -> str:
    """Return a state's words."""
    return STATE_WORDS.get(name, title(name))


def reason(name: str) -> str:
    """Return a reason's words."""
    return REASON_WORDS.get(name, title(name))
