"""The Drift & forecast page (platform lead): what changed against the days before, beyond what changes anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl
import streamlit as st

from analytics.drift_spans import choose_spans, read_period
from analytics.windows import Span, narrow
from dashboards import address, data, downloads, drift_models, pieces, shell, wording
from dashboards.bill_lines import DRIFT_COLUMNS, read_parts
from dashboards.device_names import device_names
from dashboards.pages import forecast
from dashboards.sign_in import token
from gpuledger.accounting.periods import iso
from gpuledger.errors import AnalysisError

BY: Final = ("team", "workload", "user", "model", "node")
KEPT: Final = 8
Key = tuple[str, str | None, str, str]
SECTIONS: Final[tuple[Callable[[data.Document], None], ...]] = (
    forecast.section,
)  # more of the page: each draws itself below drift


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    shell.stand(status)
    as_of = shell.as_of(status)
    try:
        spans = choose_spans(status)
    except AnalysisError as error:
        st.html(
            pieces.empty(
                "There is too little to compare yet", error.message, "Drift needs 7 whole days, and days before them."
            )
        )
        _below(status)
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    address.seed("by", BY, BY[0])
    by = left.segmented_control(
        "By", BY, required=True, format_func=lambda name: wording.DIMENSION_WORDS[name][1],
        label_visibility="collapsed", key="by",
    ) or BY[0]  # fmt: skip
    address.remember("by", by, BY[0])
    key = (data.collector_url(), token(), as_of, by)
    known = _found()
    if right.button("Look for drift" if key not in known else "Look again", type="primary", width="stretch"):
        _keep(known, key, _look(spans, by))
    if key in known:
        _show(known[key], as_of)
    else:
        st.html(
            pieces.title(
                "What changed in the last seven days?", "Against up to four weeks before, beyond what changes anyway."
            )
            + pieces.empty(
                "Nothing has been looked for yet",
                "Press the button above: every charge of these five weeks is read and compared, which takes seconds for"
                " a small fleet and minutes for a large one. The answer is kept until new data comes.",
            )
        )
    _below(status)


def _below(status: data.Document) -> None:
    for section in SECTIONS:
        section(status)
    st.html(
        pieces.foot(
            "The same on a terminal: gpuledger drift, gpuledger forecast; docs/concepts says how each is found."
        )
    )


def _look(spans: tuple[Span, Span], by: str) -> data.Document:
    """Read both windows and compare them, saying how far that is."""
    from analytics.drift_document import compare  # noqa: PLC0415 - takes a second, and memory, where nobody looks

    periods = [read_period(span) for span in spans]
    whole = sum(period.end_us - period.start_us for period in periods)
    done, frames = 0, []
    bar = st.progress(0.0, "Reading charges …")
    for period in periods:
        parts = []
        for part, until_us in read_parts(period.start_us, period.end_us, DRIFT_COLUMNS):
            parts.append(narrow(part))
            bar.progress(min(0.9, 0.9 * (done + until_us - period.start_us) / whole), "Reading charges …")
        done += period.end_us - period.start_us
        frames.append(parts)
    bar.progress(0.92, "Comparing …")
    memory = (_memory(spans[0], by), _memory(spans[1], by))
    conditions = (_conditions(spans[0]), _conditions(spans[1]))
    lines = (pl.concat(frames[0]), pl.concat(frames[1]))
    answer, _ = compare(lines, spans, by, memory=memory, conditions=conditions)
    bar.empty()
    return answer


def _memory(span: Span, by: str) -> pl.DataFrame:
    """Return the most memory in use on each device and day of a window."""
    return data.table("memory", {"period": f"{iso(span.start_us)}..{iso(span.end_us)}", "by": by})


def _conditions(span: Span) -> pl.DataFrame:
    """Return the clocks and temperatures of boards that worked in a window."""
    return data.table("conditions", {"period": f"{iso(span.start_us)}..{iso(span.end_us)}"})


def _show(answer: data.Document, as_of: str) -> None:
    st.html(pieces.title(drift_models.finding(answer), drift_models.lead(answer)))
    found = drift_models.table(answer)
    if found.lines:
        st.html(pieces.heading("What changed", "Means of both windows, the surest first") + pieces.table(found))
        downloads.offer(found, f"drift-by-{answer['by']}")
    else:
        below = "Differences that chance alone makes this often"
        st.html(pieces.heading("What moved most, within chance", below))
        st.html(pieces.table(drift_models.within_chance(answer)))
    if drift_models.moved(answer):
        names = device_names(data.answer("devices", {}, as_of)["rows"])
        causes = drift_models.causes_table(answer, names)
        st.html(pieces.heading("For the same work", "Devices are compared with those that ran the same workload"))
        st.html(pieces.table(causes))
        downloads.offer(causes, "drift-for-the-same-work")


@st.cache_resource
def _found() -> dict[Key, data.Document]:
    """Return what was found so far, by collector, reader's token, state of the ledger and dimension."""
    return {}


def _keep(known: dict[Key, data.Document], key: Key, answer: data.Document) -> None:
    known[key] = answer
    while len(known) > KEPT:
        known.pop(next(iter(known)))
