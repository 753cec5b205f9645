"""What the Utilisation page shows of fragmentation: requests in; finding and table out. Pure."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from dashboards import wording
from dashboards.view_models import Line, Table

MOST_ROWS: Final = 12
NOTE: Final = (
    "In how many hours a request would have fitted. Fragmented: enough was free of the model in the cluster, and no"
    " node (no slice of the profile) had it. A GPU counts as free in hours that it was free all through."
)


def finding(requests: pl.DataFrame) -> str:
    """Return what most often did not fit although enough was free."""
    worst = requests.filter(pl.col("fragmented_hours") > 0)
    if worst.is_empty():
        return "What was free fitted: no request of one node was refused by how the free GPUs lay"
    row = worst.row(0, named=True)
    hours = f"{row['fragmented_hours']:,} hour" + ("s" if row["fragmented_hours"] > 1 else "")
    return f"{row['request']} of {row['model']} did not fit in {hours} in which enough was free"


def table(requests: pl.DataFrame) -> Table:
    """Return the requests, what was most often fragmented first."""
    lines = tuple(_line(row) for row in requests.head(MOST_ROWS).iter_rows(named=True))
    heads = ("Request", "Fitted, h", "Fragmented, h", "Too little free, h", "Not known, h", "Free GPUs", "Largest fit")
    return Table(heads, lines, left_out=max(0, requests.height - MOST_ROWS))


def _line(row: dict[str, Any]) -> Line:
    hours = (f"{row[f'{name}_hours']:,}" for name in ("fits", "fragmented", "scarce", "unknown"))
    means = (wording.hours_column(row[name]) for name in ("mean_free_gpus", "mean_largest_gpus"))
    return Line("owner", (row["request"], *hours, *means), f"{row['model']} · {row['cluster']}")
