"""The compliance report: every line is an event of the log, the verdict is that of the proof, and nothing is left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.compliance.acts import ACTS, Part, part_of
from analytics.compliance.events import Head
from analytics.compliance.proving import gaps
from analytics.compliance.report import Compliance
from analytics.reports.report import Report, Row
from analytics.reports.report_page import report_html
from collector.audit.canonical import canonical, parse_canonical
from collector.audit.keys import public_pem
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import parse_instant, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.compliance_log import compliance_report
from gpuledger.cli.main import main
from gpuledger.errors import ConfigError
from tests.analytics.audit_logs import OTHER, START_US, ExportedLog, fingerprint, october
from tests.analytics.test_reports_tables import sheets
from tests.collector.two_teams import two_teams

NOW_US: Final = parse_instant("2026-11-02T00:00:00Z")
DAY: Final = "2026-10-01T00:00Z..2026-10-01T06:00Z"
DOCS: Final = Path(__file__).parents[2] / "docs" / "concepts" / "audit.md"


def report_of(log: ExportedLog, folder: Path, period: str = DAY, keys: int = 1, kept: tuple[Path, ...] = ()) -> Report:
    written = log.write(folder)
    return compliance_report(written, period, [written / "audit.pub"][:keys], kept, NOW_US)


def rows_of(report: Report, title: str) -> list[Row]:
    table = next(each.table for each in report.sections if each.title == title)
    return list(table.rows) if table else []


def column(report: Report, title: str, at: int) -> list[object]:
    return [row.values[at] for row in rows_of(report, title)]


def test_the_page_is_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """A day with something of everything, whole."""
    golden("report-compliance.html", report_html(report_of(october(), tmp_path)))


def test_the_title_is_the_verdict(tmp_path: Path) -> None:
    """It verifies, with its counts; what an auditor should look at stands first, each with its event."""
    report = report_of(october(), tmp_path)
    assert report.title == f"The audit log of {DAY} verifies: 21 events, 6 checkpoints, 2 things to look at"
    assert not report.alarm
    assert report.warnings == [
        "Notices that reached nobody: 1 (events 25).",
        "Tokens that never expire: 1 token: ann (event 1).",
    ]


def test_each_event_of_the_period_is_counted_once(tmp_path: Path) -> None:
    """Acts and their numbers are those of the log itself; each has a line that refers to it."""
    log = october()
    report = report_of(log, tmp_path)
    inside = [each for each in log.links if START_US <= each.at_us < START_US + 6 * US_PER_HOUR]
    counts = {str(row.values[1]): row.values[3] for row in rows_of(report, "Every act of the period")}
    assert counts == Counter(each.act for each in inside)
    said = {
        int(number)
        for section in report.sections
        for row in (section.table.rows if section.table else ())
        for span in re.findall(r"\d+ to \d+|\d+", str(row.values[0]))
        for number in range(int(span.split(" to ")[0]), int(span.split(" to ")[-1]) + 1)
    }
    assert {each.sequence for each in inside} <= said


def test_who_had_access_and_until_when(tmp_path: Path) -> None:
    """A token that ended before the period is not there; one that was revoked says by whom, why and where."""
    report = report_of(october(), tmp_path)
    assert column(report, "Who had access", 1) == ["ann", "ben", "join"]
    until = dict(zip(column(report, "Who had access", 1), column(report, "Who had access", 5), strict=True))
    assert until["ann"] == "does not expire"
    assert until["ben"] == "2026-10-01 02:00, revoked by ann: left the team (event 22)"
    assert column(report, "Enrolled agents", 1) == ["node-1"]


def test_a_change_says_what_allowed_it(tmp_path: Path) -> None:
    """An approval with its event, the rule that let it be done directly, or that there was no rule to ask."""
    report = report_of(october(), tmp_path, "2026-09-29T00:00Z..2026-10-01T06:00Z")
    why = {str(row.values[2]): row.values[5] for row in rows_of(report, "What changed")}
    assert why == {
        "price import: prices 1": "not asked: there were no rules",
        "rules import: rules 1": "not asked: there were no rules",
        "owner import: owners 1": "not asked: rules are not asked about this",
        "price import: prices 2": 'not asked: rule "small changes" of rules 1 allows it (event 10)',
    }
    [entered, closed] = rows_of(report, "Closes, corrections and disputes")
    assert entered.values[3:] == ("ben (as ann)", "lines amount -5 owner vision, why agreed", "approval 1 (event 15)")
    assert closed.values[2] == "period close: 2026-09"


def test_what_came_often_is_one_line_with_its_number(tmp_path: Path) -> None:
    """An event that stands for many counts as many, and reads as the first of its like did."""
    report = report_of(october(), tmp_path)
    reads = [row.values for row in rows_of(report, "Who read what is of all teams")]
    assert [(row[0], row[3], row[-1]) for row in reads] == [
        ("16 to 18 (2)", "/v1/chargeback", 8),
        ("17", "/v1/usage", 1),
    ]
    refused = rows_of(report, "What was refused")
    assert refused[0].values[1:5] == (
        "admission refuse (told allow, shadow)", "kai", "acme/ml/vision", 'over budget rule "no more"',
    )  # fmt: skip
    assert [row.values[-1] for row in refused] == [4, 1, 1]


@pytest.mark.parametrize(("by", "actor", "said"), [
    ("  ANN ", "x", "ANN approved their own approval 1 (events 1 and 2)."),
    ("eve", "ann", "Approval 1 was asked for and approved through one identity, ann (events 1, 2)."),
])  # fmt: skip
def test_nobody_approves_their_own_unseen(tmp_path: Path, by: str, actor: str, said: str) -> None:
    """By name, however it is written, or through the same token under another name."""
    log = ExportedLog()
    log.add(0, "audit.key", "collector", "k")
    log.add(1, "approval.request", "ann", "approval 1", by="ann", kind="quota", needs=["1 of lead"])
    log.add(2, "approval.approve", actor, "approval 1", by=by)
    report = report_of(log, tmp_path)
    assert [" ".join(each.split()) for each in report.warnings if "pproval 1" in each] == [said]


def tampered_entry(log: Path, number: int, edit: Callable[[bytes], bytes]) -> None:
    lines = log.read_bytes().splitlines()
    lines[number] = edit(lines[number])
    log.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(("edit", "bad"), [
    (lambda line: line.replace(b"left the team", b"resigned"), 23),  # the next one does not follow any more
    (lambda line: canonical({**parse_canonical(line), "sequence": 99}), 22),
    (lambda line: canonical({**parse_canonical(line), "previous": "no hash"}), 22),
    (lambda _line: b"\x00not an event", 22),
])  # fmt: skip
def test_a_tampered_log_is_reported_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], edit: Callable[[bytes], bytes], bad: int
) -> None:
    """The report is written all the same, names the first event that does not hold, marks lines, and exits with 3."""
    folder = october().write(tmp_path / "log")
    tampered_entry(folder / "audit.jsonl", 22, edit)
    out = tmp_path / "report.html"
    command = ["report", "compliance", "--export", str(folder), "--key", str(folder / "audit.pub"), "--out", str(out)]
    assert main([*command, "--period", DAY]) == 3
    page = out.read_text("utf-8")
    assert "DOES NOT VERIFY" in page
    assert f"The first event that does not hold is {bad}:" in page
    assert "26 \N{BALLOT X}" in page
    assert "15 \N{BALLOT X}" not in page, "a checkpoint after it holds"
    assert f"does not hold is {bad}:" in capsys.readouterr().err


def test_a_log_that_was_cut_or_rebuilt_does_not_fit_an_older_checkpoint(tmp_path: Path) -> None:
    """A checkpoint that lies elsewhere convicts a log whose own checkpoints are gone."""
    log = october()
    kept = tmp_path / "elsewhere.checkpoint"
    kept.write_text(log.notes[-1], encoding="utf-8")
    log.links, log.notes = log.links[:20], log.notes[:3]
    assert not report_of(log, tmp_path / "log").alarm, "it looks whole by itself"
    report = report_of(log, tmp_path / "log", kept=(kept,))
    assert "DOES NOT VERIFY" in report.title
    assert "the log ends after 20 events" in report.alarm


@pytest.mark.parametrize(("keys", "signed", "why"), [
    (0, 8, "no public key was given"), (1, 0, "no checkpoint that one of the given keys signed covers it"),
])  # fmt: skip
def test_what_nobody_signed_cannot_be_proved(tmp_path: Path, keys: int, signed: int, why: str) -> None:
    """A chain alone proves nothing against who can write the file: that is no verdict of `verifies`."""
    log = october()
    log.notes = log.notes[:signed]
    report = report_of(log, tmp_path, keys=keys)
    assert "CANNOT BE PROVED" in report.title
    assert why in report.alarm


def test_a_rotation_needs_both_keys(tmp_path: Path) -> None:
    """With the old key only, what the new one signed does not hold; with both it does, and the rotation is shown."""
    log = october()
    log.add(5.6, "audit.key", "collector", fingerprint(OTHER))
    log.sign(5.7, OTHER)
    report = report_of(log, tmp_path / "log")
    assert "no given key signed it" in report.alarm
    both = tmp_path / "other.pub"
    both.write_bytes(public_pem(OTHER.public_key()))
    report = compliance_report(tmp_path / "log", DAY, [tmp_path / "log" / "audit.pub", both], (), NOW_US)
    assert not report.alarm
    assert "Another key signs since 2026-10-01 05:36 (event 27)." in report.warnings
    assert [row.values[2:] for row in rows_of(report, "Keys")][1] == (fingerprint(OTHER), "yes", 1)


def test_a_forged_checkpoint_is_not_taken(tmp_path: Path) -> None:
    """Another size under an old signature; a file that is no checkpoint at all."""
    log = october()
    log.notes[2] = log.notes[2].replace("\n10\n", "\n9\n")
    log.notes[3] = "nonsense"
    report = report_of(log, tmp_path)
    assert "DOES NOT VERIFY" in report.title
    assert any("is not its key's" in each for each in report.warnings)
    assert any("000003.checkpoint is not a checkpoint" in each for each in report.warnings)


def test_missing_hours_are_named(tmp_path: Path) -> None:
    """From the checkpoint before to the one after."""
    log = october()
    del log.notes[4:6]
    [said] = [each for each in report_of(log, tmp_path).warnings if "gap" in each]
    assert said == "1 gap in the hourly checkpoints: 2026-10-01 01:30 to 2026-10-01 04:30."


@given(st.sets(st.integers(0, 30)))
def test_gaps_are_what_hourly_checkpoints_leave(hours: set[int]) -> None:
    """Every hour of the period without one is in a gap, and no gap is where each hour has one."""
    heads = [Head(1, hour * US_PER_HOUR, "k", holds=True) for hour in hours]
    found = gaps(heads, Interval(0, 24 * US_PER_HOUR))
    for hour in range(1, 24):
        inside = any(gap.start_us < hour * US_PER_HOUR < gap.end_us for gap in found)
        assert inside == (hour not in hours)


def test_an_act_of_another_version_is_named_and_counted(tmp_path: Path) -> None:
    """It is in no section, and not lost."""
    log = october()
    numbers = [log.add(5.6, "quantum.entangle", "ann"), log.add(5.6, "quantum.entangle", "ann")]
    log.sign(5.7)
    report = report_of(log, tmp_path)
    where = f"{numbers[0]} to {numbers[1]} (2)"
    assert f"2 events of a kind that this version does not know: quantum.entangle (event {where})." in report.warnings
    assert (where, "quantum.entangle", Part.UNKNOWN.value, 2) in [
        r.values for r in rows_of(report, "Every act of the period")
    ]


def test_a_period_without_events_says_so(tmp_path: Path) -> None:
    """Nothing happened: that is proved, too; and the checkpoints that were made meanwhile are missed."""
    log = october()
    log.sign(30.5)
    report = report_of(log, tmp_path, "2026-10-02..2026-10-03")
    assert report.title.startswith("The audit log of 2026-10-02..2026-10-03 verifies: 0 events, 1 checkpoint, ")
    assert any("gap in the hourly checkpoints" in each for each in report.warnings)


def test_an_empty_log_is_no_proof(tmp_path: Path) -> None:
    """Of a collector that never wrote anything."""
    report = report_of(ExportedLog(), tmp_path)
    assert "CANNOT BE PROVED" in report.title
    assert "The log is empty." in report.warnings


def test_a_period_that_has_not_begun_is_refused(tmp_path: Path) -> None:
    """Nothing of it can be on record, and an empty report would read like a clean one."""
    with pytest.raises(ConfigError, match="has not begun"):
        report_of(october(), tmp_path, "2026-12")


@pytest.mark.parametrize("flags", [
    ["--from", "2026-10-01"], ["--from", "2026-10-01", "--to", "2026-09-01"], ["--period", "2026-13"],
    ["--period", "2026-10", "--from", "2026-10-01", "--to", "2026-10-02"], ["--ledger", "x"],
])  # fmt: skip
def test_bad_usage_writes_nothing(tmp_path: Path, flags: list[str]) -> None:
    """Half of a period, one that ends before it begins, two logs."""
    folder, out = october().write(tmp_path / "log"), tmp_path / "report.html"
    assert main(["report", "compliance", "--export", str(folder), "--out", str(out), *flags]) == 2
    assert not out.exists()


def test_a_month_is_that_of_the_billing_zone_on_record(tmp_path: Path) -> None:
    """Offline too: the log says whose days the ledger bills."""
    log = october()
    log.add(5.6, "calendar.change", "ann", "Europe/Berlin", zone="Europe/Berlin", grace_hours=0)
    log.sign(5.7)
    assert report_of(log, tmp_path, "2026-10").period == "2026-09-30 22:00 to 2026-10-31 23:00 UTC"


def test_the_workbook_and_the_pdf_say_the_same(tmp_path: Path) -> None:
    """Every row is in the workbook; the PDF has the verdict."""
    folder = october().write(tmp_path / "log")
    for kind in ("xlsx", "pdf"):
        out = tmp_path / f"report.{kind}"
        command = [
            "report",
            "compliance",
            "--export",
            str(folder),
            "--key",
            str(folder / "audit.pub"),
            "--out",
            str(out),
        ]
        assert main([*command, "--from", "2026-10-01", "--to", "2026-10-02"]) == 0
    assert {"Who had access", "Every act of the period"} <= set(sheets(tmp_path / "report.xlsx"))
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_every_documented_act_has_a_section() -> None:
    """The table in docs/concepts/audit.md names no act that the report would call unknown."""
    table = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `")]
    acts = {act for line in table for act in re.findall(r"`([a-z]+\.[a-z_]+|event\.…)`", line)}
    assert len(acts) > 30
    assert {act for act in acts if part_of(act.replace("…", "x")) is Part.UNKNOWN} == set()
    assert not [act for act, part in ACTS.items() if part is Part.UNKNOWN]


def test_who_may_not_read_the_log_gets_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A team lead's token has no part of the log, so no report; that of finance has what the offline one has."""
    with two_teams(tmp_path / "teams") as site:
        results = {}
        for name in ("zebra-lead", "zebra-viewer", "zebra-finance", "whole-viewer", "finance"):
            token = tmp_path / f"{name}.token"
            token.write_text(site.tokens[name])
            token.chmod(0o600)
            out = tmp_path / f"{name}.html"
            where = ["--url", site.site.url, "--token-file", str(token)]
            results[name] = main(["report", "compliance", *where, "--out", str(out)]), out.exists()
    assert results.pop("finance") == (3, True), "without a key it cannot be proved"
    assert set(results.values()) == {(1, False)}
    assert "may not read the audit log" in capsys.readouterr().err


def test_lines_that_are_no_events_do_not_stop_the_report() -> None:
    """Other JSON, other types, half of a line: counted, and named."""
    report = Compliance(parse_period(DAY))
    for line in (
        b"",
        b"[]",
        b"{}",
        b'{"act":1}',
        json.dumps({"act": "a", "actor": "b", "subject": "", "at": "x", "details": {}}).encode(),
    ):
        report.take(line)
    assert report._unreadable == [0, 1, 2, 3, 4]
