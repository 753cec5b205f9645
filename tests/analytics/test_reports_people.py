"""Reports for people: every figure is the API's, nothing in a name is more than text, and all files of a period agree."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.reports import colours
from analytics.reports.charts import Part, Series, Step, bar, columns, shorten, steps
from analytics.reports.material import Material
from analytics.reports.pieces import change_words
from analytics.reports.report import Report, Row, Section
from analytics.reports.report_page import report_html
from analytics.reports.summary_report import summary_report
from analytics.reports.team_report import team_report
from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from collector.rating import rate_dirty
from dashboards import theme
from gpuledger.accounting.periods import iso
from gpuledger.cli import report_material
from gpuledger.cli.main import main
from gpuledger.cli.report_files import slug, write
from gpuledger.cli.sources import Source, open_local
from gpuledger.errors import AnalysisError
from tests.analytics.ledgers import BOOK, HOUR, OWNERS, START_US, close, fill, hours, late
from tests.analytics.test_reports_tables import sheets
from tests.collector.batches import device, holder, records
from tests.collector.fleet import open_ledger, owners, prices, usage_frame

NOW, BEFORE = hours(2, 4), hours(0, 2)
HOSTILE = (
    '=HYPERLINK("http://127.0.0.1/x","1") <script>alert(1)</script> </style></svg><img src=x onerror=alert(1)> '
    "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED} \N{ROCKET} " + "w" * 60
)
WORK = f"@SUM(1) \N{RIGHT-TO-LEFT OVERRIDE}txt.exe \x07\ufffe {{{{ 7 * 7 }}}} {HOSTILE}"  # what no owner mapping takes


def team_ledger(folder: Path, team: str = "vision", work: str = "notebook-1") -> Path:
    """Make a ledger of six hours: two closed, two closed with corrections, two open; a GPU has no price."""
    with open_ledger(folder) as ledger:
        fill(ledger)
        owners(ledger, OWNERS.replace('team = "vision"', f"team = {json.dumps(team, ensure_ascii=False)}"))
        close(ledger, BEFORE)
        late(ledger)
        usage = records("GPU-0007", START_US + 2 * HOUR, START_US + 6 * HOUR, "pod:uid-4/c", state=2, reason="starved")
        usage += records("GPU-0008", START_US + 2 * HOUR, START_US + 5 * HOUR, "pod:uid-1/c")
        devices = [device(7, model="Unknown card"), device(8, model="NVIDIA L40S")]
        holders = [holder(4, pod=work), holder(1, pod="-train")]
        assert ledger.ingest([usage_frame(7, usage, devices, holders)])[0].taken
        prices(ledger, BOOK.replace('model = "*"', 'model = "NVIDIA*"'))
        rate_dirty(ledger)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return team_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same ledger where nobody has it open."""
    return team_ledger(tmp_path_factory.mktemp("at_rest"))


@pytest.fixture(scope="module")
def source(folder: Path) -> Iterator[Source]:
    opened = open_local(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def material(source: Source) -> Material:
    return gather(source, NOW.label)


def gather(source: Source, label: str) -> Material:
    """Gather into a folder that lasts as long as the tests."""
    folder = tempfile.TemporaryDirectory()
    FOLDERS.append(folder)
    return report_material.gather(source, label, Path(folder.name))


FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def section(report: Report, title: str) -> Section:
    return next(each for each in report.sections if each.title == title)


def rows_of(report: Report, title: str) -> list[Row]:
    table = section(report, title).table
    assert table
    return list(table.rows)


def columns_of(report: Report, title: str) -> list[str]:
    table = section(report, title).table
    assert table
    return [column.head for column in table.columns]


def row_of(answer: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer["rows"] if row["key"] == key)
    return found


def test_a_teams_figures_are_those_of_the_api(source: Source, material: Material) -> None:
    """Amount, hours, energy and carbon are chargeback's; each table sums to them to the last digit."""
    report = team_report(material, "vision")
    theirs = row_of(source.query("chargeback", {"period": NOW.label}), "vision")
    assert report.amount == Decimal(theirs["cost"])
    facts = {fact.name: fact.value for fact in report.facts}
    assert (facts["GPU-hours"], facts["Energy, kWh"], facts["CO2e, kg"]) == (
        theirs["gpu_hours"], theirs["energy_kwh"], theirs["carbon_kg"],
    )  # fmt: skip
    for title in ("What it was spent on", "On which GPUs"):
        at = columns_of(report, title).index("EUR")
        assert sum(row.values[at] or 0 for row in rows_of(report, title)) == report.amount
        total = section(report, title).table.total  # type: ignore[union-attr]
        assert total
        assert total.values[at] == report.amount
    days = source.query("timeline", {"period": NOW.label, "grain": "day"})["rows"]
    assert [row.values for row in rows_of(report, "Day by day")] == [
        (day["at"][:10], Decimal(day["costs"]["vision"])) for day in days
    ]


def test_a_change_is_that_of_compare(material: Material, source: Source) -> None:
    """The way from the cost before to the cost now is that of the two chargebacks, and its parts are all of it."""
    report = team_report(material, "vision")
    before = row_of(source.query("chargeback", {"period": BEFORE.label}), "vision")
    values = [row.values[1] for row in rows_of(report, "What changed")]
    assert values[0] == Decimal(before["cost"])
    assert sum(values) == report.amount


def test_a_change_is_said_in_words() -> None:
    """What is less is called so, what is nothing is left out, and a team that is new or gone has no percentages."""
    row = {
        "standing": "", "change": "-20.00", "cost_before": "100.00", "volume": "-30.00", "mix": "12.00", "price": "-2.00",
        "no_price": "0.000000001",
    }  # fmt: skip
    assert change_words(row, "October") == (
        "\N{MINUS SIGN}20.00 (\N{MINUS SIGN}20 %) against October: \N{MINUS SIGN}30.00 because less time was held, "
        "+12.00 because dearer GPUs were held, \N{MINUS SIGN}2.00 because prices fell."
    )
    assert change_words({**row, "standing": "new"}, "October") == "Nothing was spent in October."
    assert change_words({**row, "standing": "gone"}, "October") == "All that was spent was spent in October."


def test_what_earlier_advice_saved_is_said(material: Material) -> None:
    """Of one's own team, at the prices of then, beside what had been stated; nothing where nothing was followed."""
    title = "What was wasted, and what to do"
    kept = {"currency": material.currency, "low": "2", "high": "9.5", "saved": "-1.25"}
    rows = [
        {**kept, "team": "vision"},
        {**kept, "team": "speech", "saved": "4"},
        {**kept, "team": "vision", "saved": None},
    ]
    told = material._replace(waste={**material.waste, "advice": {"rows": rows}})
    [note] = [note for note in section(team_report(told, "vision"), title).notes if "Earlier advice" in note]
    assert "-1.25" in note.replace("\u2212", "-")
    assert "2.00 to 9.50" in note
    assert not [note for note in section(team_report(material, "vision"), title).notes if "Earlier advice" in note]


def test_waste_is_that_of_the_command(material: Material, source: Source) -> None:
    """Savings are those of the waste answer; time without a price has none."""
    report = team_report(material, "vision")
    theirs = [row for row in material.waste["rows"] if row["team"] == "vision"]
    shown = rows_of(report, "What was wasted, and what to do")
    assert sum(row.values[3] for row in shown) == sum(row["gpu_hours"] for row in theirs) == 2.0
    assert [row.values[4:] for row in shown] == [(None, None)]
    assert "waits for data" in str(shown)
    assert any("explain" in note for note in section(report, "What was wasted, and what to do").notes)


def test_invoices_are_referred_to_and_what_is_missing_is_said(source: Source, material: Material) -> None:
    """A closed period has the invoice's number and amount; time without a price is a warning, not a zero."""
    closed = team_report(gather(source, BEFORE.label), "vision")
    theirs = next(row for row in source.query("invoices", {})["rows"] if row["team"] == "vision")
    [row] = rows_of(closed, "Invoices")
    assert (row.values[0], row.values[-1]) == (theirs["number"], Decimal(theirs["payable"]))
    assert closed.standing == "final"
    assert closed.made_from == next(row["digest"] for row in source.query("periods", {})["rows"] if row["closed_at"])
    opened = team_report(material, "vision")
    assert section(opened, "Invoices").finding.startswith("There is no invoice yet")
    assert opened.warnings == ["2.0 GPU-hours have no price and are not in the amount."]
    assert opened.standing.startswith("provisional")


def test_the_summary_is_all_of_it(source: Source, material: Material) -> None:
    """Amounts, states and energy of all teams and of nobody sum to the fleet's total."""
    report = summary_report(material)
    answer = source.query("chargeback", {"period": NOW.label})
    assert report.amount == Decimal(answer["total"]["cost"])
    at = columns_of(report, "Teams").index(material.period)
    assert sum(row.values[at] or 0 for row in rows_of(report, "Teams")) == report.amount
    assert {str(row.values[0]) for row in rows_of(report, "Teams")} >= {"Vision", "Speech", "Idle capacity"}
    states = {row.values[1] for row in rows_of(report, "What the time was")}
    assert states == {hours for hours in answer["total"]["states"].values() if hours}
    energy = section(report, "Energy and carbon").table
    assert energy
    assert energy.total
    assert energy.total.values[2] == answer["total"]["energy_kwh"]
    days = section(report, "Day by day").table
    assert days
    steps_of = source.query("timeline", {"period": NOW.label, "grain": "day"})["rows"]
    assert [sum(value or 0 for value in row.values[1:]) for row in days.rows] == [Decimal(s["cost"]) for s in steps_of]


def test_days_are_those_of_the_billing_zone(material: Material) -> None:
    """A day in Berlin begins in UTC on the date before; it has the date that people there call it."""
    step = {"at": "2026-11-05T23:00:00Z", "costs": {"vision": "7.25", "idle capacity": None}, "cost": "7.25"}
    timeline = {"period": {"zone": "Europe/Berlin"}, "grain": "day", "rows": [step]}
    report = team_report(material._replace(timeline=timeline), "vision")
    assert [row.values for row in rows_of(report, "Day by day")] == [("2026-11-06", Decimal("7.25"))]
    assert section(report, "Day by day").finding == "The dearest day was 2026-11-06, with 7.25 EUR."
    summary = summary_report(material._replace(timeline=timeline))
    assert ("2026-11-06", Decimal("7.25")) == tuple(rows_of(summary, "Day by day")[0].values[:2])


def test_commands_in_a_report_are_safe_to_paste(material: Material) -> None:
    """A charge whose name has a quote in it does not end the command."""
    evil = {**material.waste["rows"][0], "team": "vision", "kind": "held_idle", "evidence": ["x'; reboot #"]}
    report = team_report(material._replace(waste={**material.waste, "rows": [evil]}), "vision")
    [said] = [note for note in section(report, "What was wasted, and what to do").notes if "explain" in note]
    assert shlex.split(said.partition(": ")[2]) == ["gpuledger", "explain", "x'; reboot #"]


def test_an_unknown_team_is_refused(material: Material) -> None:
    """With the names of those that there are."""
    with pytest.raises(AnalysisError, match="visoin") as caught:
        team_report(material, "visoin")
    assert "vision" in caught.value.hint


def test_pages_are_golden(material: Material, source: Source, golden: Callable[[str, str], None]) -> None:
    """The page of a team and the summary of a small ledger, whole."""
    golden("report-team.html", report_html(team_report(material, "vision")))
    golden("report-summary.html", report_html(summary_report(gather(source, BEFORE.label))))


class _Reader(HTMLParser):
    """Collects what a browser or a program for e-mail would see of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_is_complete_in_itself_and_fit_for_mail(material: Material) -> None:
    """Nothing is fetched, nothing runs, and every cell has its style where programs for e-mail look for it."""
    for report in (team_report(material, "vision"), summary_report(material)):
        seen = _Reader(report_html(report)).tags
        names = {tag for tag, _ in seen}
        assert not names & {"script", "link", "img", "iframe", "form", "object"}
        assert not [attrs for _, attrs in seen if {"href", "src", "srcset"} & attrs.keys()]
        assert all(attrs.get("style") for tag, attrs in seen if tag in {"td", "th", "h1", "h2", "p", "table", "body"})
        assert "var(" not in report_html(report)


def test_hostile_names_are_text_everywhere(tmp_path: Path, source: Source) -> None:
    """In pages, pictures, workbooks, PDFs and names of files: shown, not run, and not the end of anything."""
    other = open_local(team_ledger(tmp_path / "ledger", HOSTILE, WORK))
    try:
        found = gather(other, NOW.label)
    finally:
        other.close()
    for report, plain in (
        (team_report(found, HOSTILE), team_report(gather(source, NOW.label), "vision")),
        (summary_report(found), summary_report(gather(source, NOW.label))),
    ):
        page = report_html(report)
        shapes = [[tag for tag, _ in _Reader(each).tags] for each in (page, report_html(plain))]
        assert shapes[0] == shapes[1], "no name adds an element or takes one away"
        assert "&lt;script&gt;" in page
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page, "no name turns what stands beside it around"
        assert not [attrs for _, attrs in _Reader(page).tags if any(name.startswith("on") for name in attrs)]
        cells = sheets(_saved(tmp_path, write(report, "xlsx")))
        assert len(cells) == len([each for each in report.sections if each.table and each.table.rows]) + 1
    assert write(team_report(found, HOSTILE), "pdf").startswith(b"%PDF")
    assert re.fullmatch(r"[a-z0-9-]{1,69}", slug(HOSTILE))


def _saved(folder: Path, data: bytes) -> Path:
    path = folder / "report.xlsx"
    path.write_bytes(data)
    return path


def test_a_workbook_has_every_figure(material: Material, tmp_path: Path) -> None:
    """Each cell is the table's value as a number; what is not known is empty; formulas are text."""
    report = summary_report(material)
    cells = sheets(_saved(tmp_path, write(report, "xlsx")))
    table = section(report, "Teams").table
    assert table
    for row, written in zip(table.rows, cells["Teams"][1:], strict=False):
        numbers = [float(text) for text in written[1:] if text is not None]
        assert numbers == [float(value) for value in row.values[1:] if value is not None]
    assert cells["Report"][3][0] == "Amount, EUR"
    assert float(cells["Report"][3][1] or 0) == float(report.amount or 0)
    with zipfile.ZipFile(io.BytesIO(write(report, "xlsx"))) as book:
        assert b"externalLink" not in book.read("[Content_Types].xml")


def test_a_pdf_says_what_the_page_says(material: Material, tmp_path: Path) -> None:
    """Its text has the amount and the sections, and a reprint is the same file."""
    report = team_report(material, "vision")
    data = write(report, "pdf")
    assert write(report, "pdf") == data
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: apt-get install poppler-utils")
    text = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=data, capture_output=True, check=True
    ).stdout.decode()
    assert f"{report.amount:.2f}" in text
    assert all(each.title in text for each in report.sections)
    assert "Page 1 of" in text


def test_nothing_yet_is_a_report_too(tmp_path: Path) -> None:
    """A ledger without usage, and a period without any: no figures are made up, and nothing fails."""
    with open_ledger(tmp_path / "empty"):
        pass
    opened = open_local(tmp_path / "empty")
    try:
        report = summary_report(gather(opened, NOW.label))
    finally:
        opened.close()
    assert report.finding == "No team held a GPU in this period."
    assert [fact.value for fact in report.facts if fact.name == "Held, of capacity"] == [None]
    assert write(report, "html")
    assert write(report, "xlsx")


def run(folder: Path, *command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", *command, "--ledger", str(folder)]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    found: dict[str, Any] = json.loads(said) if said else {}
    return found


def test_all_reports_of_the_newest_closed_period_and_only_once(
    at_rest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They enter their folder together; a closed bill is reported once; a team that is gone leaves its folder."""
    command = ("all", "--out", str(tmp_path), "--kind", "html", "--format", "json")
    first = run(at_rest, *command, capsys=capsys)
    assert (first["period"], first["written"]) == (BEFORE.label, True)
    files = {Path(row["file"]).name for row in first["rows"]}
    assert files == {"summary.html", "team-vision.html", "team-speech.html"}
    [made] = tmp_path.iterdir()
    assert {path.name for path in made.iterdir()} == {*files, "reports.json"}
    again = run(at_rest, *command, capsys=capsys)
    assert (again["written"], again["rows"]) == (False, first["rows"])
    listing = json.loads((made / "reports.json").read_text())
    gone = made / "team-gone.html"
    gone.write_text("")
    outside = tmp_path / "of-somebody-else.html"
    outside.write_text("")
    listing["rows"].append({"team": "gone", "kind": "html", "file": gone.name})
    listing["rows"].append({"team": "far", "kind": "html", "file": f"../{outside.name}"})
    (made / "reports.json").write_text(json.dumps({**listing, "digest": "another"}))
    assert run(at_rest, *command, capsys=capsys)["written"]
    assert not gone.exists()
    assert outside.exists(), "a list of files is no way out of its folder"


def test_an_open_period_is_reported_when_asked_for(
    at_rest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each time anew, since it can change; one report goes where it is told to."""
    command = ("all", "--out", str(tmp_path), "--period", NOW.label, "--kind", "html", "--format", "json")
    assert run(at_rest, *command, capsys=capsys)["written"]
    assert run(at_rest, *command, capsys=capsys)["written"]
    page = tmp_path / "one.html"
    run(at_rest, "team", "--team", "vision", "--period", NOW.label, "--out", str(page), capsys=capsys)
    assert "Vision" in page.read_text("utf-8")


def test_a_running_collector_is_asked_as_a_folder_is(at_rest: Path, tmp_path: Path) -> None:
    """The page over HTTP is that of the folder, byte for byte."""
    pages = [tmp_path / "folder.html", tmp_path / "collector.html"]
    period = ("--period", NOW.label)
    assert main(["report", "summary", *period, "--ledger", str(at_rest), "--out", str(pages[0])]) == 0
    with running(CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(at_rest))) as url:
        assert main(["report", "summary", *period, "--url", url, "--out", str(pages[1])]) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_nothing_closed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A timer that runs before the first close writes nothing and does not fail; a wrong name of a file is refused."""
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
    out = tmp_path / "out"
    said = run(tmp_path / "ledger", "all", "--out", str(out), "--format", "json", capsys=capsys)
    assert (said["written"], said["rows"]) == (False, [])
    assert not out.exists()
    assert main(["report", "summary", "--ledger", str(tmp_path / "ledger"), "--out", "report.docx"]) == 2
    assert "report.html, report.pdf or report.xlsx" in capsys.readouterr().err.replace("FILE", "report")


def test_figures_that_move_while_they_are_read_are_read_again(source: Source) -> None:
    """Chargeback of one instant and lines of another make no report: it is tried again, and then refused."""

    class Moving:
        def __init__(self, times: int) -> None:
            self.left = times

        def query(self, name: str, params: dict[str, str]) -> dict[str, Any]:
            found = source.query(name, params)
            if name == "chargeback" and params["period"] == NOW.label and self.left:
                self.left -= 1
                return {**found, "total": {**found["total"], "cost": "0.01"}}
            return found

        def table(self, name: str, params: dict[str, str]) -> Any:
            return source.table(name, params)

    assert gather(Moving(2), NOW.label).label == NOW.label  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="changed while they were read"):
        gather(Moving(3), NOW.label)  # type: ignore[arg-type]


def test_pictures_are_drawn_to_scale_and_nothing_is_none() -> None:
    """Heights are as the figures; a loss goes down from where it stands; without figures there is no picture."""
    drawn = columns(["1", "2"], [Series("a", "#111111", [10, 5]), Series("b", "#222222", [10, 0])], "EUR", 136)
    heights = re.findall(r'height="([\d.]+)" fill="#(?:111111|222222)"', drawn)
    assert heights[:3] == ["50.0", "50.0", "25.0"]
    way = steps(
        [
            Step("before", Decimal(100), "", change=False),
            Step("less", Decimal(-25), ""),
            Step("now", Decimal(75), "", change=False),
        ]
    )
    tall = [float(each) for each in re.findall(r'height="([\d.]+)" fill=', way)]
    assert (tall[0] - tall[1], tall[2]) == (pytest.approx(tall[2], abs=0.1), pytest.approx(3 * tall[1], abs=0.3))
    widths = re.findall(r'width="([\d.]+)" height="26.0"', bar([Part("a", "#1", 3, ""), Part("b", "#2", 1, "")]))
    assert widths == ["510.0", "170.0"]
    assert columns([], [], "EUR") == bar([]) == steps([]) == columns(["1"], [Series("a", "#1", [0])], "EUR") == ""
    assert shorten("a\x00b" + "c" * 99) == "a\N{REPLACEMENT CHARACTER}b" + "c" * 22 + "\N{HORIZONTAL ELLIPSIS}"


def test_colours_are_those_of_the_pages() -> None:
    """A team and a state look the same on a page and in a report."""
    assert tuple(shade.light for shade in theme.TEAM_COLOURS) == colours.TEAMS
    assert {name: shade.light for name, shade in theme.STATE_COLOURS.items()} == colours.STATES
    assert (theme.ACCENT.light, theme.TEXT.light, theme.MUTED.light) == (colours.ACCENT, colours.INK, colours.MUTED)


def test_lines_are_of_the_period(material: Material) -> None:
    """What a report is made from begins and ends with its period."""
    assert material.lines.select(pl.col("hour_us").min()).collect().item() == NOW.start_us
    assert iso(NOW.end_us) == material.chargeback["period"]["to"]
