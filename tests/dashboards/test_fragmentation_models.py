"""What the pages say of requests that did not fit, and of work that less would do."""

from __future__ import annotations

import polars as pl

from analytics.fragmentation import REQUESTS
from analytics.over_asked import ADVISED
from dashboards import fragmentation_models, waste_models


def requests(*fragmented: int) -> pl.DataFrame:
    """Return requests that were fragmented in so many hours, the most first."""
    rows = [
        {"cluster": "c", "model": "H100", "request": f"{2**n} GPUs", "parts": 840, "fits_hours": 5, "scarce_hours": 2,
         "fragmented_hours": hours, "unknown_hours": 1_234, "mean_free_gpus": 3.25, "mean_largest_gpus": 2.0}
        for n, hours in enumerate(fragmented, start=1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=REQUESTS)


def test_the_worst_request_is_the_finding() -> None:
    """The first that did not fit, in its hours; where all fitted, that; more rows than fit are counted."""
    assert fragmentation_models.finding(requests(3, 1)) == (
        "2 GPUs of H100 did not fit in 3 hours in which enough was free"
    )
    assert "in 1 hour in which" in fragmentation_models.finding(requests(1))
    assert fragmentation_models.finding(requests(0)).startswith("What was free fitted")
    assert fragmentation_models.finding(requests()).startswith("What was free fitted")
    table = fragmentation_models.table(requests(*range(20, 0, -1)))
    assert (len(table.lines), table.left_out) == (12, 8)
    assert table.lines[0].cells == ("2 GPUs", "5", "20", "2", "1,234", "3.2", "2.0")


def test_advice_is_said_as_a_range_and_names_what_would_do() -> None:
    """Both ends where they differ, one figure where not, and that there is none; a row says what to ask for."""
    row = {"kind": "over_asked", "reason": "smaller_profile", "workload": "train", "team": "vision", "user": "ada",
           "node": "", "holders": 1, "devices": 1, "part_us": 840 * 3_600_000_000, "unpriced_part_us": 0,
           "low_quanta": 0, "high_quanta": 5 * 10**9, "energy_mj": 0, "evidence": ["x"], "instead": "3g.40gb"}  # fmt: skip
    one = pl.DataFrame([row], schema=ADVISED)
    assert "\N{EURO SIGN}0.00 to \N{EURO SIGN}5.00" in waste_models.more(one, "EUR")
    assert " to " not in waste_models.more(one.with_columns(low_quanta="high_quanta"), "EUR")
    assert waste_models.more(one.clear(), "EUR").startswith("No work")
    [line] = waste_models.table(one.iter_rows(named=True), 1, "EUR").lines
    assert line.cells[1] == "Ask for a smaller slice: 3g.40gb"
    assert line.small == "Vision · ada · A smaller MIG profile would do"
