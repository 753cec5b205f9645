"""A failing card told from changed work: devices that run the same workload are each other's yardstick.

On each day the devices of a workload and model have a median; how far a device lies from it does not change when all of
them are given other work. So where one device moves against its peers, it is the device, and where their median moves,
it is the work (or what all of them share: software, driver, cooling). A device that was given more or less work than
its peers moves too: what its activity explains is taken out, by how power (or a clock) went with activity among the
same devices in the reference, and a change of the activity itself is told as that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import polars as pl

from analytics import drift_samples as samples
from analytics import drift_tests as tests
from analytics.drift_frames import AT, DEVICE, Observations, calendar, check
from analytics.drift_metrics import HARDWARE, WORK, metric_named
from gpuledger.errors import AnalysisError

Floats = samples.Floats
LEAST_PEERS: Final = 3  # devices on a workload in a day, from which a median tells the odd one
LEAST_DAYS: Final = 3
UNEXPLAINED: Final = 0.25  # of a change of load: how a metric goes with activity is no better known far from the usual
RESOLUTION: Final = 0.002  # of a value: meters are no better than that, however little they scatter
_COHORT: Final = ["workload", "model"]


class Cause(enum.StrEnum):
    """What a change of a device or a workload comes from."""

    HARDWARE = "hardware"  # this device alone, for the same work
    LOAD = "load"  # this device alone, and it was given other work
    WORKLOAD = "workload"  # all devices of the workload
    UNDETERMINED = "undetermined"  # a workload with too few devices to tell which
    STEADY = "steady"
    TOO_FEW = "too_few"  # days, or days with peers


class Shift(msgspec.Struct, frozen=True):
    """How far a device moved against its peers, or the median of a workload's devices: a ratio, 0 for none.

    `of` is the device or the workload; `peers` the devices on its workloads in a typical day.
    """

    of: str
    model: str
    metric: str
    cause: Cause
    shift_ratio: float | None
    p: float | None
    q: float | None
    reference_days: int
    current_days: int
    peers: int


SCHEMA: Final = pl.Schema(
    {
        "of": pl.String(),
        "model": pl.String(),
        "metric": pl.String(),
        "cause": pl.String(),
        "shift_ratio": pl.Float64(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "reference_days": pl.Int64(),
        "current_days": pl.Int64(),
        "peers": pl.Int64(),
    }
)


class Causes(msgspec.Struct, frozen=True):
    """What moved, of devices against their peers and of workloads as a whole; frames have the columns of `Shift`."""

    level: float
    devices: pl.DataFrame
    workloads: pl.DataFrame

    def shifts(self, *causes: Cause) -> list[Shift]:
        """Return the rows with these causes, devices first."""
        rows = pl.concat([self.devices, self.workloads]).filter(pl.col("cause").is_in(list(causes)))
        return msgspec.convert(rows.to_dicts(), list[Shift])


def find_causes(observations: Observations, *, level: float = 0.05) -> Causes:
    """Tell which devices changed for the same work, and which workloads changed on all their devices.

    Observations are days of devices, each on one `workload`, of one `model`; metrics are those of HARDWARE that there
    are, beside `active_ratio`. Devices and workloads share the level by halves.
    Raises AnalysisError where a column is not there or the frames are no days.
    """
    for column in (DEVICE, *_COHORT):
        if column not in observations.reference.columns or column not in observations.current.columns:
            raise AnalysisError(f'the windows have no column "{column}"', hint="analytics.windows.same_work makes them")
    keyed = observations._replace(reference=_with_key(observations.reference), current=_with_key(observations.current))
    check(keyed, "key")
    days = calendar([keyed])
    rows = pl.concat(
        [
            frame.filter(pl.col(AT).dt.date().is_in(list(kept))).with_columns(pl.lit(value=current).alias("current"))
            for frame, kept, current in (
                (keyed.reference, days.reference, False),
                (keyed.current, days.current, True),
            )
        ],
        how="vertical_relaxed",
    ).with_columns(((pl.col(AT).dt.epoch("d")) - 4).alias("day"))  # the epoch was a Thursday: days count from a Monday
    metrics = [name for name in observations.metrics if name in HARDWARE]
    relative = {name: _relative(rows, name) for name in (*metrics, WORK)}
    devices = [_device_shifts(found, name) for name, found in relative.items()]
    workloads = [_workload_shifts(found, name) for name, found in relative.items()]
    return Causes(
        level,
        _name_devices(_with_q(pl.concat([pl.DataFrame(schema=SCHEMA), *devices])), level / 2),
        _name_workloads(_with_q(pl.concat([pl.DataFrame(schema=SCHEMA), *workloads])), level / 2),
    )


def _with_key(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.format("{} {}", "workload", "device").alias("key"))


def _relative(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return how far each value lies `apart` from the day's median of its cohort, as a ratio, and the day's `level`.

    What activity explains is taken out of both: a device's above or below its peers', a day's above or below the usual.
    """
    value, day = pl.col(metric).cast(pl.Float64), (*_COHORT, AT)
    known = rows.filter(value.is_finite() & (value > 0)).with_columns(
        value.alias("value"),
        value.median().over(day).alias("median"),
        pl.len().over(day).alias("peers"),
        pl.col(WORK).fill_nan(None).median().over(day).alias("day_work"),
    )
    apart = known.with_columns(
        (pl.col("value") - pl.col("median")).alias("apart"), (pl.col(WORK) - pl.col("day_work")).alias("more")
    )
    if metric == WORK:
        explained = apart.with_columns(pl.lit(0.0).alias("slope"))
    else:
        explained = apart.join(_slopes(apart), on=_COHORT, how="left")
    usual = pl.col("day_work").filter(~pl.col("current")).mean().over(_COHORT)
    day_more = (pl.col("day_work") - usual).fill_null(0.0)
    expected = pl.col("median") + pl.col("slope") * pl.col("more").fill_nan(None).fill_null(0.0)
    least = pl.col("median") / 10
    return explained.with_columns(
        (pl.col("value") / pl.max_horizontal(expected, least) - 1).alias("apart"),
        pl.max_horizontal(pl.col("median") - pl.col("slope") * day_more, least).log().alias("level"),
    )


def _slopes(apart: pl.DataFrame) -> pl.DataFrame:
    """Return by how much the metric rises with activity among the devices of each cohort, in the reference; else 0."""
    own = [*_COHORT, DEVICE]
    known = apart.filter(~pl.col("current") & pl.col("more").is_finite()).with_columns(
        pl.col("apart", "more") - pl.col("apart", "more").mean().over(own)  # devices differ, whatever they do
    )
    slope = pl.cov("apart", "more") / pl.col("more").var()
    found = known.group_by(_COHORT).agg(pl.when(slope.is_finite()).then(slope).otherwise(0.0).alias("slope"))
    absent = apart.select(_COHORT).unique().join(found, on=_COHORT, how="anti").with_columns(pl.lit(0.0).alias("slope"))
    return pl.concat([found, absent])


def _device_shifts(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return how each device moved against its peers, over the workloads that it ran in both windows."""
    beside = rows.filter(pl.col("peers") >= LEAST_PEERS)
    usual = beside.filter(~pl.col("current")).group_by(DEVICE, *_COHORT).agg(pl.col("apart").mean().alias("usual"))
    again = beside.filter(pl.col("current")).select(DEVICE, *_COHORT).unique()
    both = beside.join(usual.join(again, on=[DEVICE, *_COHORT]), on=[DEVICE, *_COHORT])
    daily = both.group_by(DEVICE, "model", "current", "day").agg(
        (pl.col("apart") - pl.col("usual")).mean().alias("value"), pl.col("peers").mean()
    )
    absent = (
        rows.select(DEVICE, "model")
        .unique()
        .join(daily.select(DEVICE, "model").unique(), on=[DEVICE, "model"], how="anti")
    )
    return pl.concat([_shifts(daily, DEVICE, metric, np.asarray), _unknown(absent, DEVICE, metric)])


def _workload_shifts(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return how the median of each workload's devices moved."""
    daily = rows.group_by(*_COHORT, "current", "day").agg(
        pl.col("level").first().alias("value"), pl.col("peers").first().cast(pl.Float64)
    )
    return _shifts(daily, "workload", metric, np.expm1)


def _shifts(daily: pl.DataFrame, of: str, metric: str, change: Callable[[Floats], Floats]) -> pl.DataFrame:
    """Return the shift of the mean between the windows of each series of days, with its p-value where days suffice."""
    if daily.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    keys = daily.select(of, "model").unique().sort(of, "model").with_row_index("code")
    coded = daily.join(keys, on=[of, "model"])
    sample = samples.Sample(
        coded["code"].cast(pl.Int64).to_numpy(),
        coded["current"].to_numpy(),
        coded["day"].cast(pl.Int64).to_numpy(),
        coded["value"].to_numpy(),
        len(keys),
    )
    counts, means = samples.sizes(sample), samples.means(sample)
    enough = np.minimum(counts.reference, counts.current) >= LEAST_DAYS
    p = tests.location_p(sample, RESOLUTION)
    peers = coded.group_by("code").agg(pl.col("peers").median()).sort("code")["peers"]
    return keys.select(
        pl.col(of).cast(pl.String).alias("of"),
        "model",
        pl.lit(metric).alias("metric"),
        pl.lit(None, dtype=pl.String).alias("cause"),
        pl.Series("shift_ratio", np.where(enough, change(means.current - means.reference), np.nan)).fill_nan(None),
        pl.Series("p", np.where(enough, p, np.nan)).fill_nan(None),
        pl.lit(None, dtype=pl.Float64).alias("q"),
        pl.Series("reference_days", counts.reference.astype(np.int64)),
        pl.Series("current_days", counts.current.astype(np.int64)),
        peers.cast(pl.Int64).alias("peers"),
    )


def _unknown(keys: pl.DataFrame, of: str, metric: str) -> pl.DataFrame:
    """Return rows for what has no day that can be compared."""
    rows = keys.select(pl.col(of).cast(pl.String).alias("of"), "model", pl.lit(metric).alias("metric"))
    return pl.concat([pl.DataFrame(schema=SCHEMA), rows], how="diagonal").with_columns(
        pl.col("reference_days", "current_days", "peers").fill_null(0)
    )


def _with_q(frame: pl.DataFrame) -> pl.DataFrame:
    due = frame["p"].is_not_null().to_numpy()
    q = np.full(len(frame), np.nan)
    q[due] = tests.adjusted(frame["p"].to_numpy()[due], any_dependence=False)
    return frame.with_columns(pl.Series("q", q).fill_nan(None))


def _matters(frame: pl.DataFrame, level: float) -> pl.Expr:
    """Return whether a shift is significant and large enough: what counts as large is a ratio here, or 3 % for none."""
    least = {name: metric_named(name).least_ratio or 0.03 for name in frame["metric"].unique()}
    floor = pl.col("metric").replace_strict(least, default=0.03)
    return (pl.col("q") <= level) & (pl.col("shift_ratio").abs() >= floor)


def _name_devices(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    """Name what moved a device: its load too, where that changed and leaves little that it does not explain."""
    changed = _matters(frame, level)
    load = frame.filter(changed & (pl.col("metric") == WORK)).select("of", pl.col("shift_ratio").alias("load"))
    left = pl.col("shift_ratio").abs() < UNEXPLAINED * pl.col("load").abs()
    return (
        frame.join(load, on="of", how="left")
        .with_columns(
            pl.when(pl.col("p").is_null())
            .then(pl.lit(Cause.TOO_FEW.value))
            .when(~changed)
            .then(pl.lit(Cause.STEADY.value))
            .when((pl.col("metric") == WORK) | left.fill_null(value=False))
            .then(pl.lit(Cause.LOAD.value))
            .otherwise(pl.lit(Cause.HARDWARE.value))
            .alias("cause")
        )
        .select(SCHEMA.names())
        .sort("q", "of", "metric", nulls_last=True)
    )


def _name_workloads(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(pl.col("p").is_null())
        .then(pl.lit(Cause.TOO_FEW.value))
        .when(~_matters(frame, level))
        .then(pl.lit(Cause.STEADY.value))
        .when(pl.col("peers") < LEAST_PEERS)
        .then(pl.lit(Cause.UNDETERMINED.value))
        .otherwise(pl.lit(Cause.WORKLOAD.value))
        .alias("cause")
    ).sort("q", "of", "metric", nulls_last=True)
