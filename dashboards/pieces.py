"""Pieces of a page as HTML: figures, tables, keys, notes. Text from outside is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from dashboards import wording
from dashboards.notes import Note
from dashboards.theme import Shade
from dashboards.view_models import Kpi, Line, Overview, Table

LONGEST_NAME: Final = 96


def brand(until: str, zone: str) -> str:
    """Return the line above the page: whose page this is, how fresh, and whose days its periods mean."""
    days = "" if zone == "UTC" else f" &nbsp;·&nbsp; days of {escape(zone)}"
    return f'<div class="gl-brand"><i></i><b>gpuledger</b> &nbsp;·&nbsp; data until {escape(until)}{days}</div>'


def headline(model: Overview) -> str:
    """Return the finding, the sentence below it, and the strip of figures."""
    return title(model.finding, model.lead) + kpis(model.kpis)


def title(text: str, lead: str = "") -> str:
    """Return a page's finding and the sentence below it."""
    return f'<h1 class="gl-finding"><bdi>{escape(text)}</bdi></h1><p class="gl-lead">{escape(lead)}</p>'


def heading(text: str, sub: str = "") -> str:
    """Return a section's finding and how to read what follows."""
    below = f'<p class="gl-sub">{escape(sub)}</p>' if sub else ""
    return f'<h2 class="gl-h">{escape(text)}</h2>{below}'


def sub(text: str) -> str:
    """Return how to read what stands above it."""
    return f'<p class="gl-sub">{escape(text)}</p>'


def keys(entries: Iterable[tuple[str, Shade]], *, tall: bool = False) -> str:
    """Return the one legend of a chart; `tall` keeps room for a second line, so that charts side by side line up."""
    marks = "".join(f'<span><i style="background:{shade.css}"></i>{escape(name)}</span>' for name, shade in entries)
    return f'<div class="gl-keys{" tall" if tall else ""}">{marks}</div>'


def table(model: Table) -> str:
    """Return a table; figures line up on the right."""
    head = "".join(f"<th{_left(i, model)}>{escape(name)}</th>" for i, name in enumerate(model.headers))
    body = "".join(
        f'<tr class="{line.kind}">'
        + "".join(f"<td{_left(i, model)}>{_cell(i, text, line)}</td>" for i, text in enumerate(line.cells))
        + "</tr>"
        for line in model.lines
    )
    more = f'<p class="gl-sub">and {model.left_out:,} more</p>' if model.left_out else ""
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="gl-scroll"><table class="gl-t">{inner}</table></div>{more}'


def notes(models: Iterable[Note]) -> str:
    """Return the reservations, one a line."""
    return f'<div class="gl-notes">{"".join(_note(model) for model in models)}</div>'


def empty(title: str, *paragraphs: str, command: str = "") -> str:
    """Return what stands in place of a page that has nothing to show: what is missing and what to do."""
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs if paragraph)
    todo = f"<p><code>{escape(command)}</code></p>" if command else ""
    return f'<div class="gl-empty"><h1>{escape(title)}</h1>{text}{todo}</div>'


def crumbs(steps: Iterable[tuple[str, str]]) -> str:
    """Return the way from everything down to what is shown: each step's name and address; the last has none."""
    shown = (
        f'<a href="{escape(href)}">{_named(name)}</a>' if href else f'<b aria-current="page">{_named(name)}</b>'
        for name, href in steps
    )
    return f'<nav class="gl-crumbs" aria-label="Where this is">{"<i>/</i>".join(shown)}</nav>'


def pager(words: str, before: str, after: str) -> str:
    """Return which rows of how many are shown, with the addresses of those before and after; empty: there are none."""
    parts = [
        f'<a href="{escape(href)}" rel="{rel}">{name}</a>' if href else f"<span>{name}</span>"
        for name, href, rel in (("Previous", before, "prev"), ("Next", after, "next"))
    ]
    return f'<nav class="gl-pager" aria-label="Rows">{escape(words)} {" ".join(parts)}</nav>'


def more(words: str, href: str) -> str:
    """Return the way to all of what is shown in part."""
    return f'<nav class="gl-pager"><a class="first" href="{escape(href)}">{escape(words)}</a></nav>'


def steps(sentences: Iterable[str]) -> str:
    """Return sentences that follow from one another."""
    return f'<ol class="gl-steps">{"".join(f"<li><bdi>{escape(each)}</bdi></li>" for each in sentences)}</ol>'


def kpis(figures: Iterable[Kpi]) -> str:
    """Return a strip of figures."""
    return f'<div class="gl-kpis">{"".join(_kpi(kpi) for kpi in figures)}</div>'


def foot(text: str) -> str:
    """Return the small print."""
    return f'<p class="gl-foot">{escape(text)}</p>'


def reader(who: str, words: str = "", href: str = "") -> str:
    """Return who reads, and where they become somebody else."""
    link = f' &nbsp;·&nbsp; <a href="{escape(href)}">{escape(words)}</a>' if href else ""
    return f'<p class="gl-reader"><bdi>{escape(who)}</bdi>{link}</p>'


def _kpi(kpi: Kpi) -> str:
    unit = f"<small>{escape(kpi.unit)}</small>" if kpi.unit else ""
    return (
        f'<div class="gl-kpi"><div class="k">{escape(kpi.label)}</div><div class="v">{escape(kpi.value)}{unit}</div>'
        f'<div class="d">{escape(kpi.detail)}</div></div>'
    )


def _note(note: Note) -> str:
    step = f" <code>{escape(note.step)}</code>" if note.step else ""
    kind = " warn" if note.serious else ""
    return f'<div class="gl-note{kind}"><b>{escape(note.amount)}</b><div>{escape(note.text)}{step}</div></div>'


def _left(column: int, model: Table) -> str:
    return ' class="l"' if column < model.words else ""


def _cell(column: int, text: str, line: Line) -> str:
    """Return a cell; `bdi` keeps a name written from right to left from turning the figures around it."""
    if column:
        return f"<bdi>{escape(text)}</bdi>"
    below = f"<small>{_named(line.small)}</small>" if line.small else ""
    name = f'<a href="{escape(line.href)}">{_named(text)}</a>' if line.href else _named(text)
    return f"{name}{below}"


def _named(text: str) -> str:
    """Return a name from outside; a very long one by its ends, a run's identifier by its beginning.

    It is whole where the pointer rests on it.
    """
    short = wording.run_name(text)
    if short != text:
        return f'<bdi title="{escape(text)}">{escape(short)}</bdi>'
    if len(text) <= LONGEST_NAME:
        return f"<bdi>{escape(text)}</bdi>"
    ends = f"{text[: LONGEST_NAME - 21]}…{text[-20:]}"
    return f'<bdi title="{escape(text)}">{escape(ends)}</bdi>'
