"""Windows of observations from bill lines: days of devices, days, and jobs, by whoever held or by what was held.

Pure. Lines are those of `/v1/bill`: an hour of a device, a holder and a state. Time that nobody observed is left out,
never taken as idle; a day of a device counts where enough of it is known. Money and energy become floats here: they are
compared, not billed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from analytics.drift_frames import Observations
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import HELD_STATES, RUN_NUMBER, State

BY_HOLDER: Final = (
    "team", "user", "project", "department", "organisation", "workload", "system", "namespace", "slurm_account",
)  # fmt: skip
BY_DEVICE: Final = ("model", "node", "device", "cluster")
BY: Final = (*BY_HOLDER, *BY_DEVICE)
FIGURES: Final = (
    "hour_us", "state", "parts", "held_us", "active_us", "active_unknown_us", "energy_mj", "energy_unknown_us",
    "cost_quanta",
)  # fmt: skip
NARROWED: Final = (
    *FIGURES, "team", "project", "department", "organisation", "namespace", "slurm_account", "user_name",
    "workload_system", "workload_scope", "workload_name", "pod", "slurm_job", "model", "mig_profile", "node", "device",
    "cluster", "holder",
)  # fmt: skip  # the columns of bill lines that `narrow` reads
LOOKBACK_DAYS: Final = 7  # before a window, where the starts of its jobs are found; longer jobs count as this long
LEAST_HELD_US: Final = US_PER_HOUR  # of a device's day, to say how it was used
LEAST_OBSERVED_US: Final = US_PER_DAY // 2  # of a device's day, to say how it was
MOST_UNOBSERVED: Final = 0.05  # of a day's device time, for its sums to be whole
CONDITIONS: Final = ("sm_clock_mhz", "temperature_c")
_WORK: Final = ["workload", "model", "device"]
_HELD: Final = [int(state) for state in HELD_STATES]
_JOB_KEY: Final = ["cluster", "holder"]


class Span(NamedTuple):
    """A window of whole days (UTC), half-open, in microseconds."""

    start_us: int
    end_us: int


def whole_days(period: Period, known_until_us: int) -> Span:
    """Return the whole days of `period` that lie before `known_until_us`. Raises AnalysisError where there are none."""
    start_us = -(-period.start_us // US_PER_DAY) * US_PER_DAY
    end_us = min(period.end_us, known_until_us) // US_PER_DAY * US_PER_DAY
    if end_us <= start_us:
        raise AnalysisError(
            f"{period.label} has no whole day that is known", hint="name a period of days that are over"
        )
    return Span(start_us, end_us)


def observe(reference: pl.DataFrame, current: pl.DataFrame, spans: tuple[Span, Span], by: str) -> list[Observations]:
    """Return all observations of two windows by `by`, one of BY.

    The frames are narrowed lines from `LOOKBACK_DAYS` before each span (or the ledger's beginning) to its end.
    """
    if by not in BY:
        raise AnalysisError(f'drift by "{by}" is not known', hint=f"one of: {', '.join(BY)}")
    found = []
    use = "active_ratio" if by in BY_HOLDER else "busy_ratio"
    for unit, make, metrics in (
        ("device-day", device_days, (use, "power_w")),
        ("day", daily_sums, ("gpu_hours", "cost", "arrivals")),
        ("job", jobs, ("job_hours", "job_gpus")),
    ):
        frames = [make(lines, span, by) for lines, span in zip((reference, current), spans, strict=True)]
        found.append(Observations(unit, frames[0], frames[1], metrics))
    return found


def observe_memory(reference: pl.DataFrame, current: pl.DataFrame, by: str) -> Observations:
    """Return the most memory in use on days of devices, from rows of `/v1/memory`; days not read are not there."""
    frames = [
        rows.select(
            _at("day_us"), _or_null("key").alias(by), *_device(by), pl.col("memory_max_bytes").alias("memory_bytes")
        )
        for rows in (reference, current)
    ]
    return Observations("device-day", frames[0], frames[1], ("memory_bytes",))


def observe_conditions(
    lines: tuple[pl.DataFrame, pl.DataFrame],
    conditions: tuple[pl.DataFrame, pl.DataFrame],
    spans: tuple[Span, Span],
    by: str,
) -> Observations:
    """Return the clock and temperature of days of devices while they worked, from rows of `/v1/conditions`.

    By a property of holders an hour counts for a group where nobody else held the device in it.
    """
    frames = []
    for of_window, read, span in zip(lines, conditions, spans, strict=True):
        within = _within(of_window, span)
        seen = pl.col("state").is_in(_HELD) if by in BY_HOLDER else pl.col("state") != int(State.UNOBSERVED)
        found = _conditions(within.filter(seen), read, list(dict.fromkeys([by, "device"])))
        frames.append(found.select(_at("day_us"), pl.exclude("day_us")))
    return Observations("device-day", frames[0], frames[1], CONDITIONS)


def same_work(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    spans: tuple[Span, Span],
    conditions: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> Observations:
    """Return days of devices on one workload each, with `workload` and `model`: what tells a card from its work.

    With rows of `/v1/conditions` they have the device's clock and temperature too, null where nobody read it.
    """
    metrics = ("active_ratio", "power_w", *(CONDITIONS if conditions else ()))
    frames = []
    for number, (lines, span) in enumerate(zip((reference, current), spans, strict=True)):
        held = _within(lines, span).filter(pl.col("state").is_in(_HELD) & pl.col("workload").is_not_null())
        used = _use(held, _WORK, "active_ratio").filter(_known(LEAST_HELD_US))
        found = used.with_columns(pl.col(_WORK).cast(pl.String))
        if conditions:
            read = _conditions(held, conditions[number], _WORK).select(_at("day_us"), pl.exclude("day_us"))
            found = found.join(read, on=["at", *_WORK], how="left")
        frames.append(found)
    return Observations("device-day", frames[0], frames[1], metrics)


def narrow(lines: pl.DataFrame) -> pl.DataFrame:
    """Return of bill lines what is needed here, small in memory: a name is null where a line has none.

    Runs of one workload that differ in a trailing number share its name; a Slurm job has none of its own, and is known
    by its account and user.
    """
    run = pl.col("workload_name").str.contains(r"^job \d+$")
    tool = pl.when(~run).then(_or_null("workload_name").str.replace(RUN_NUMBER, ""))
    pod = pl.when(pl.col("pod") != "").then(pl.format("{}/{}", "namespace", pl.col("pod").str.replace(RUN_NUMBER, "")))
    batch = pl.when(pl.col("slurm_job") != "").then(pl.format("{}/{}", "slurm_account", "user_name"))
    profile = pl.when(pl.col("mig_profile") == "").then(pl.lit("")).otherwise(" " + pl.col("mig_profile"))
    plain = ("team", "project", "department", "organisation", "namespace", "slurm_account")
    names = lines.select(
        *map(_or_null, plain),
        _or_null("user_name").alias("user"),
        pl.when(pl.col("workload_system") != "")
        .then(pl.format("{} {}", "workload_system", "workload_scope").str.strip_chars_end())
        .alias("system"),
        pl.coalesce(tool, pod, batch, _or_null("user_name")).alias("workload"),
        (pl.col("model") + profile).alias("model"),
        "node",
        "device",
        "cluster",
        "holder",
    )
    return pl.concat(
        [
            names.cast(pl.Categorical()),
            lines.select((pl.col("hour_us") // US_PER_DAY * US_PER_DAY).alias("day_us"), *FIGURES),
        ],
        how="horizontal",
    )


def device_days(lines: pl.DataFrame, span: Span, by: str) -> pl.DataFrame:
    """Return a row for each device and day: how much of its time was work, and its mean power.

    By a property of holders it is the time that the group held the device, else all that was observed of it.
    """
    within = _within(lines, span)
    if by in BY_HOLDER:
        held = within.filter(pl.col("state").is_in(_HELD))
        return _use(held, list(dict.fromkeys([by, "device"])), "active_ratio").filter(_known(LEAST_HELD_US))
    seen = within.filter(pl.col("state") != int(State.UNOBSERVED))
    return _use(seen, list(dict.fromkeys([by, "device"])), "busy_ratio").filter(_known(LEAST_OBSERVED_US))


def daily_sums(lines: pl.DataFrame, span: Span, by: str) -> pl.DataFrame:
    """Return a row for each group and day: GPU-hours, cost, jobs that started; 0 on days that were watched.

    Days of which too much was not observed are left out; a group that is never there has no rows.
    """
    within = _within(lines, span)
    watched = (
        within.group_by("day_us")
        .agg(pl.col("held_us").filter(pl.col("state") == int(State.UNOBSERVED)).sum() / pl.col("held_us").sum())
        .filter(pl.col("held_us") <= MOST_UNOBSERVED)
        .select("day_us")
    )
    held = within.filter(pl.col("state").is_in(_HELD))
    part_hours = pl.col("held_us") * pl.col("parts") / (GPU_PARTS * US_PER_HOUR)
    sums = held.group_by("day_us", by).agg(
        part_hours.sum().alias("gpu_hours"),
        pl.when(pl.col("cost_quanta").is_not_null().all())
        .then(pl.col("cost_quanta").sum() / QUANTA_PER_UNIT)
        .alias("cost"),
    )
    first = _runs(lines, by).filter(pl.col("first_us") > _beginning(lines))
    started = first.group_by((pl.col("first_us") // US_PER_DAY * US_PER_DAY).alias("day_us"), by).agg(
        pl.len().cast(pl.Float64).alias("arrivals")
    )
    every = watched.join(sums.select(by).unique(), how="cross")
    keys = ["day_us", by]
    rows = every.join(sums, on=keys, how="left", nulls_equal=True).join(started, on=keys, how="left", nulls_equal=True)
    absent = pl.col("gpu_hours").is_null()
    return rows.select(
        _at("day_us"),
        by,
        pl.col("gpu_hours").fill_null(0.0),
        pl.when(absent).then(0.0).otherwise("cost").alias("cost"),
        pl.col("arrivals").fill_null(0.0),
    )


def jobs(lines: pl.DataFrame, span: Span, by: str) -> pl.DataFrame:
    """Return a row for each tenancy that ended in the window, at its end: its length in whole hours, and its devices.

    Jobs longer than LOOKBACK_DAYS count as that long. Those that ended sooner after the lines begin are left out:
    there, short ones alone would have a length that is known.
    """
    longest_us = LOOKBACK_DAYS * US_PER_DAY
    ended = _runs(lines, by).filter(
        (pl.col("last_us") >= pl.max_horizontal(pl.lit(span.start_us), _beginning(lines) + longest_us))
        & (pl.col("last_us") < span.end_us - US_PER_HOUR)
    )
    length_us = (pl.col("last_us") - pl.col("first_us") + US_PER_HOUR).clip(upper_bound=longest_us)
    return ended.select(
        _at("last_us"),
        by,
        (length_us / US_PER_HOUR).alias("job_hours"),
        pl.col("devices").cast(pl.Float64).alias("job_gpus"),
    )


def _runs(lines: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return when each holder was first and last seen, and on how many devices."""
    held = lines.filter(pl.col("state").is_in(_HELD))
    return held.group_by(list(dict.fromkeys([*_JOB_KEY, by]))).agg(
        pl.col("hour_us").min().alias("first_us"),
        pl.col("hour_us").max().alias("last_us"),
        pl.col("device").n_unique().alias("devices"),
    )


def _use(lines: pl.DataFrame, keys: list[str], ratio: str) -> pl.DataFrame:
    watched = pl.col("held_us").sum() - pl.col("active_unknown_us").sum()
    metered_s = (pl.col("held_us").sum() - pl.col("energy_unknown_us").sum()) / 1_000_000
    used = lines.group_by(["day_us", *keys]).agg(
        pl.when(watched > 0).then(pl.col("active_us").sum() / watched).alias(ratio),
        pl.when(metered_s > 0).then(pl.col("energy_mj").sum() / 1_000 / metered_s).alias("power_w"),
        pl.col("held_us").sum().alias("known_us"),
    )
    return used.select(_at("day_us"), *keys, ratio, "power_w", "known_us")


def _conditions(lines: pl.DataFrame, read: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return means of days by `keys`, among them `device`; of hours in which the device had no other keys."""
    hours = lines.select("day_us", "hour_us", *keys).unique().with_columns(pl.col(keys).cast(pl.String))
    alone = hours.filter(pl.len().over("device", "hour_us") == 1)
    return (
        alone.join(read, on=["device", "hour_us"])
        .group_by("day_us", *keys)
        .agg(_mean("sm_clock_mhz", "sm_clock_readings"), _mean("temperature_c", "temperature_readings"))
    )


def _mean(total: str, readings: str) -> pl.Expr:
    known = pl.col(readings).sum()
    return pl.when(known > 0).then(pl.col(total).sum() / known).alias(total)


def _device(by: str) -> list[pl.Expr]:
    return [] if by == "device" else [pl.col("device")]


def _known(least_us: int) -> pl.Expr:
    return pl.col("known_us") >= least_us


def _within(lines: pl.DataFrame, span: Span) -> pl.DataFrame:
    return lines.filter((pl.col("hour_us") >= span.start_us) & (pl.col("hour_us") < span.end_us))


def _beginning(lines: pl.DataFrame) -> pl.Expr:
    first = lines["hour_us"].min()
    return pl.lit(0 if first is None else first)


def _at(column: str) -> pl.Expr:
    return pl.from_epoch(column, time_unit="us").dt.replace_time_zone("UTC").alias("at")


def _or_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)
