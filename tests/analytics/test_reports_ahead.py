"""Reports of a period that is not over: where it lands, what less would do, and what each figure stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agent.health.throttling import THROTTLED
from agent.holders.occupants import NEVER_STARTED, NO_PROCESS
from analytics.reports.charts import Ahead, ahead
from analytics.reports.material import Material, covers, unequal
from analytics.reports.pieces import ADVICE, WHY
from analytics.reports.report import Report, Section
from analytics.reports.report_page import report_html
from analytics.reports.summary_report import summary_report
from analytics.reports.team_report import team_report
from dashboards import waste_models, wording
from gpuledger.cli import forecast_answer, report_material, waste_answer
from gpuledger.cli.sources import Source, open_local
from tests.analytics import forecast_ledger
from tests.analytics.test_forecast_command import NEXT_WEEK
from tests.analytics.test_lazy_lines import SCHEMA as LINES
from tests.analytics.test_over_asked import KINDS, holding

LANDS, LESS = "Where the period lands", "What less would do"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """Give a ledger of seven weeks."""
    opened = open_local(forecast_ledger.fill(tmp_path_factory.mktemp("weeks")))
    yield opened
    opened.close()


def gather(source: Source, label: str, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return report_material.gather(source, label, tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="module")
def material(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Return two weeks of which one is to come."""
    return gather(source, NEXT_WEEK, tmp_path_factory)


def sections(report: Report) -> dict[str, Section]:
    return {each.title: each for each in report.sections}


def test_an_open_period_says_where_it_lands(material: Material, source: Source) -> None:
    """Figures are those of the forecast command; what a team has so far is what its report says that it cost."""
    asked = forecast_answer.Asked(NEXT_WEEK, None, "team", "cost", "day")
    rows = {row["key"]: row for row in forecast_answer.find(source, asked)["rows"]}
    names = ("so_far", "expected", "low_80", "high_80")
    report = team_report(material, "lab")
    found = sections(report)[LANDS]
    assert found.table
    assert [row.values[1:] for row in found.table.rows] == [tuple(Decimal(rows["lab"][name]) for name in names)]
    assert report.amount == found.table.rows[0].values[1]
    total = sections(summary_report(material))[LANDS].table
    assert total
    assert total.total
    assert total.total.values[1:] == tuple(Decimal(rows["total"][name]) for name in names)
    assert len(total.rows) == len(rows) - 1
    assert sections(summary_report(material))[LANDS].finding.startswith("For what is held, ")


def test_the_picture_has_each_day_once_and_ranges_on_days_to_come(material: Material) -> None:
    """Seven days that are known and seven that are not; only those have a range, and each picture is its own group's."""
    pictures = [sections(report)[LANDS].chart for report in (team_report(material, "lab"), summary_report(material))]
    for picture in pictures:
        assert len(re.findall(r'<rect[^>]*height="(?!10\.0)[\d.]+"', picture)) == 14
        assert picture.count("stroke-width") == 7
    assert pictures[0] != pictures[1]
    assert LANDS in report_html(team_report(material, "lab"))


def test_a_period_that_is_over_lands_nowhere(source: Source, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is known to its end; neither is one that has not begun forecast as if it had."""
    for label in ("2026-02-09..2026-02-16", "2026-03-09..2026-03-16"):
        found = gather(source, label, tmp_path_factory)
        assert found.outlook is None
        assert LANDS not in sections(summary_report(found))


def test_a_short_past_has_a_reason_instead(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nine days say nothing of the next, and the report says why."""
    opened = open_local(forecast_ledger.fill(tmp_path / "short", days=9))
    try:
        found = gather(opened, "2026-01-05..2026-01-19", tmp_path_factory)
    finally:
        opened.close()
    section = sections(team_report(found, "lab"))[LANDS]
    assert section.finding == "There is no forecast: fewer than 21 days are known."
    assert section.chart == ""
    unknown = found._replace(outlook={"why_not": "the ledger has no prices"})
    assert "no prices" in sections(team_report(unknown, "lab"))[LANDS].finding


def advised(material: Material, *holdings: dict[str, Any]) -> Material:
    """Return the same period with advice about these holdings."""
    asked = {"period": {"label": NEXT_WEEK}, "currency": "EUR", "as_of": None}
    rows = waste_answer.answer(asked, pl.DataFrame(schema=LINES), 2, {"rows": holdings, "kinds": KINDS})["rows"]
    return material._replace(waste={**material.waste, "rows": [*rows, *material.waste["rows"]]})


def test_advice_has_a_section_of_its_own(material: Material) -> None:
    """Of one's own team; runs of one work are one row, which sums them; it is no waste, and is in no sum of waste."""
    runs = [holding(team="lab", workload=f"train-{n}", holder=f"pod:{n}/main") for n in (1, 2)]
    told = advised(material, *runs, holding(workload="other", holder="pod:o/main", team="vision"))
    found = sections(team_report(told, "lab"))
    table = found[LESS].table
    assert table
    [row] = table.rows
    assert row.values[:5] == ("train", "A smaller MIG profile", "3g.40gb", 2, 18.0)
    assert table.total
    assert table.total.values[-1] == row.values[-1] == Decimal(36)
    assert found[LESS].finding == "36.00 EUR less for the same work."
    wasted = "What was wasted, and what to do"
    assert found[wasted] == sections(team_report(material, "lab"))[wasted]
    whole = sections(summary_report(told))
    assert whole[wasted] == sections(summary_report(material))[wasted]
    assert len(whole[LESS].table.rows) == 2  # type: ignore[union-attr]
    assert LESS not in sections(team_report(material, "lab"))


def test_each_figure_says_what_it_covers(material: Material, source: Source) -> None:
    """The period, its hours that are known, how much was seen, what has no price, and whether it can change."""
    report = team_report(material, "lab")
    assert report.covers == f"{NEXT_WEEK}: 168 of 336 hours, 100 % watched, all priced, provisional"
    page = report_html(report)
    assert page.count(f"Covers {report.covers}") == len(report.sections)
    assert "2.0 GPU-hours without a price" in covers(material, "all seen", 2.0)
    assert "100 % observed" in summary_report(material).covers


def test_a_change_between_unequal_times_is_said_at_the_head(
    material: Material, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A week against two is a warning; a week against a week is none."""
    said = "The change is between unequal times: 168 hours of 2026-02-16..2026-03-02 are known, and 336 of"
    assert unequal(material)[0].startswith(said)
    for report in (team_report(material, "lab"), summary_report(material)):
        assert unequal(material)[0] in report.warnings
    assert unequal(gather(source, "2026-02-09..2026-02-16", tmp_path_factory)) == []


def test_what_is_to_come_is_drawn_to_scale() -> None:
    """A column is as high as what is expected, its range as long as it is wide; without a range there is no line."""
    drawn = ahead(["1", "2", "3"], [10.0], [Ahead(5.0, 2.5, 10.0), Ahead(5.0, None, None)], "EUR", 136)
    heights = re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="#(?:0B5CAD|9CC3EA)"', drawn)[:3]
    assert [tall for _, tall in heights] == ["100.0", "50.0", "50.0"]
    [(upper, lower)] = re.findall(r'd="M[\d.]+ ([\d.]+)V([\d.]+)" stroke="#16202C"', drawn)
    assert (float(upper), float(lower)) == (12.0, 87.0)
    assert ahead([], [], [], "EUR") == ahead(["1"], [0.0], [], "EUR") == ""


def test_each_reason_that_an_agent_gives_has_words_and_advice() -> None:
    """On the page and in the report alike; none falls back to its code."""
    for reason in ("memory_held", NEVER_STARTED, NO_PROCESS, THROTTLED):
        assert reason in WHY
        assert reason in ADVICE
        assert reason in wording.REASON_WORDS
        assert reason in waste_models.ADVICE
