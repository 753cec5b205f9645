"""Reports as files: one, or all of a period into its folder, which they enter together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from analytics.invoice_pdf import page_pdf
from analytics.reports.material import Material
from analytics.reports.report import Report
from analytics.reports.report_book import report_xlsx
from analytics.reports.report_page import report_html
from analytics.reports.summary_report import summary_report
from analytics.reports.team_report import team_report
from gpuledger import __version__
from gpuledger.cli.export_files import all_or_none
from gpuledger.cli.report_material import gathered
from gpuledger.cli.sources import Document, Source

LISTING: Final = "reports.json"  # in a period's folder: which files there are, and what they were made from
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


def one(source: Source, label: str, team: str | None, kind: str) -> bytes:
    """Return one report of a period: a team's, or that of all."""
    with gathered(source, label) as material:
        return write(report_of(material, team), kind)


def report_of(material: Material, team: str | None) -> Report:
    """Return the report of a team, or of all."""
    return summary_report(material) if team is None else team_report(material, team)


def write(report: Report, kind: str) -> bytes:
    """Return a report as a page, a PDF or a workbook."""
    if kind == "xlsx":
        return report_xlsx(report)
    page = report_html(report)
    identity = hashlib.sha256(page.encode()).hexdigest()
    return page_pdf(page, identity) if kind == "pdf" else page.encode()


def write_all(source: Source, label: str, out: Path, kinds: Sequence[str]) -> Document:
    """Write the summary and every team's report into `out/PERIOD`; return which files there are.

    Without a `label` it is the newest closed period. What was made from the same bill by the same version is not made
    again.
    """
    closed = [row for row in source.query("periods", {})["rows"] if row["closed_at"]]
    if not label and not closed:
        return _unwritten("", "No period is closed yet: a report of an open one needs --period.", [])
    asked = label or closed[-1]["label"]
    digest = next((row["digest"] for row in closed if row["label"] == asked), "")
    folder = out / re.sub(r"[^\w.-]", "", asked)
    before = _listing(folder)
    same = {"digest": digest, "version": __version__, "kinds": sorted(kinds)}
    if digest and before and {name: before.get(name) for name in same} == same:
        return _unwritten(
            asked, "They are as the closed bill says; nothing was written.", _placed(folder, before["rows"])
        )
    rows: list[Document] = []
    with gathered(source, asked) as material, all_or_none(folder) as writing:
        for team in (None, *material.teams):
            report = report_of(material, team)
            for kind in kinds:
                name = f"{'summary' if team is None else f'team-{slug(team)}'}.{kind}"
                (writing / name).write_bytes(write(report, kind))
                rows.append({"team": team or "", "kind": kind, "file": name})
        (writing / LISTING).write_bytes(
            msgspec.json.format(msgspec.json.encode({"period": asked, **same, "rows": rows}))
        )
    _remove_others(folder, before, rows)
    return {"period": asked, "written": True, "why_not": "", "rows": _placed(folder, rows)}


def slug(team: str) -> str:
    """Return a team as a part of a file's name; two teams never have the same one."""
    plain = _UNSAFE.sub("-", team.lower()).strip("-")[:60]
    return plain if plain == team else f"{plain or 'team'}-{hashlib.sha256(team.encode()).hexdigest()[:8]}"


def _unwritten(period: str, why_not: str, rows: Sequence[Document]) -> Document:
    return {"period": period, "written": False, "why_not": why_not, "rows": list(rows)}


def _listing(folder: Path) -> Document | None:
    """Return what is known of the reports in a folder; None where that is nothing."""
    try:
        found: Document = msgspec.json.decode((folder / LISTING).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    present = all((folder / row["file"]).is_file() for row in found.get("rows", []))
    return found if present else None


def _placed(folder: Path, rows: Sequence[Document]) -> list[Document]:
    """Return rows of a listing with the whole path of each file."""
    return [{**row, "file": str(folder / row["file"])} for row in rows]


def _remove_others(folder: Path, before: Document | None, rows: Sequence[Document]) -> None:
    """Remove reports of teams that a later bill does not have any more."""
    kept = {row["file"] for row in rows}
    for row in before["rows"] if before else ():
        if row["file"] not in kept:
            (folder / Path(row["file"]).name).unlink(missing_ok=True)
