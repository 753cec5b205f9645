"""The Chargeback page below one owner: its parts, its charges, and one charge with its evidence."""

from __future__ import annotations

import streamlit as st

from dashboards import address, data, downloads, drill_models, links, pieces, wording
from dashboards.device_names import device_names
from dashboards.periods import Choice
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError, TerminalDeliveryError
from gpuledger.within import Within, parse_within

CHARGES = "charges"


def asked() -> Within | None:
    """Return the part of the ledger that the address names; None where it names none."""
    try:
        within = parse_within(st.query_params.get("within", ""))
    except ConfigError as error:
        st.html(pieces.empty("This address names nothing", error.message, f"Next step: {error.hint}"))
        st.stop()
    return within if within.kind else None


def draw(within: Within, chosen: Choice, spoken: str, as_of: str) -> None:
    """Draw a part of the ledger, or the charge in it that the address names."""
    if st.query_params.get("charge"):
        _charge(st.query_params["charge"], within, chosen, as_of)
        return
    answer, level = _breakdown(within, chosen, as_of)
    whole = data.answer("chargeback", {"period": chosen.period.label, "by": "team"}, as_of)
    st.html(
        pieces.crumbs(drill_models.crumbs(within, period=chosen.slug))
        + pieces.title(drill_models.finding(answer, within, whole, spoken), drill_models.lead(answer["total"]))
    )
    if not answer["groups"]:
        st.html(pieces.empty("Nothing of it in this period", "Choose another period, or go up by the names above."))
        return
    if level == CHARGES:
        _charges(within, chosen, as_of)
    else:
        _parts(answer, within, level, chosen)


def _breakdown(within: Within, chosen: Choice, as_of: str) -> tuple[data.Document, str]:
    """Return the answer by the level that is shown, and that level: the next that tells anything, or as asked."""
    below = (*drill_models.levels_below(within), CHARGES)
    params = {"period": chosen.period.label, "within": str(within)}
    asked_for = st.session_state.get("level") or st.query_params.get("level")
    first = links.first_row(st.query_params.get("first"))
    page = {"limit": str(links.PAGE_ROWS), "offset": str(first)}
    answer: data.Document = {}
    level = below[0]
    for level in [asked_for] if asked_for in below else below:
        by = "team" if level == CHARGES else level
        answer = data.answer("chargeback", {**params, "by": by, **({} if level == CHARGES else page)}, as_of)
        if level == CHARGES or answer["groups"] > 1 or any(row["kind"] == "owner" for row in answer["rows"]):
            break
    if len(below) > 1:
        address.seed("level", below, level)
        address.remember("level", level, "" if asked_for in below else level)
    return answer, level


def _choose(within: Within) -> None:
    """Draw the choice of what a part is taken apart by."""
    below = (*drill_models.levels_below(within), CHARGES)
    if len(below) == 1:
        return
    words = {name: wording.DIMENSION_WORDS[name][1] for name in below[:-1]} | {CHARGES: "Charges"}
    st.segmented_control(
        "By", below, required=True, format_func=words.__getitem__, label_visibility="collapsed", key="level",
        on_change=_forget_rows,
    )  # fmt: skip


def _forget_rows() -> None:
    st.query_params.pop("first", None)


def _parts(answer: data.Document, within: Within, level: str, chosen: Choice) -> None:
    words = wording.DIMENSION_WORDS[level][1].lower()
    st.html(
        pieces.heading(
            f"By {wording.DIMENSION_WORDS[level][0].lower()}",
            "Each name leads further down, to charges and their evidence",
        )
    )
    _choose(within)
    table = drill_models.parts_table(answer, within, level, period=chosen.slug)
    st.html(pieces.table(table))
    kept = {"period": chosen.slug, "within": str(within), "level": level}
    _pager(answer["groups"], len(answer["rows"]), f"{words}, the dearest first", **kept)
    downloads.offer(table, f"chargeback-{chosen.slug}-{drill_models.called(within)}-by-{level}")
    st.html(pieces.foot("What is below sums to the total exactly; amounts here are rounded for reading."))


def _pager(count: int, shown: int, words: str, **kept: str) -> None:
    """Draw which rows of how many are shown, and the way to the others."""
    first = links.first_row(st.query_params.get("first"))
    if count > shown:
        before, after = links.beside("chargeback", first, count, **kept)
        st.html(pieces.pager(f"{links.rows_shown(first, shown, count)} {words}", before, after))


def _charges(within: Within, chosen: Choice, as_of: str) -> None:
    first = links.first_row(st.query_params.get("first"))
    params = {"period": chosen.period.label, "within": str(within), "limit": str(links.PAGE_ROWS), "offset": str(first)}
    answer = data.answer("charges", params, as_of)
    names = device_names(data.answer("devices", {}, as_of)["rows"])
    total = wording.amount(answer["cost"]) if answer["cost"] else "an unknown amount of"
    st.html(
        pieces.heading(
            f"{answer['count']:,} charges sum to {total} {answer['currency'] or ''}",
            "One for each hour, device and state; each hour leads to its evidence",
        )
    )
    _choose(within)
    table = drill_models.charges_table(answer, names, within, period=chosen.slug)
    st.html(pieces.table(table))
    kept = {"period": chosen.slug, "within": str(within), "level": CHARGES}
    _pager(answer["count"], len(answer["rows"]), CHARGES, **kept)
    downloads.offer(table, f"charges-{chosen.slug}-{drill_models.called(within)}")
    st.html(pieces.foot("Hours are in UTC, in the order of time."))


def _charge(name: str, within: Within, chosen: Choice, as_of: str) -> None:
    try:
        charge = data.answer("explain", {"charge": name}, as_of)
    except TerminalDeliveryError as error:
        st.html(
            pieces.empty("There is no such charge", error.message, f"Next step: {error.hint}" if error.hint else "")
        )
        return
    names = device_names(data.answer("devices", {}, as_of)["rows"])
    key = drill_models.device_of(charge["charge"])
    workload = within.name("workload") or _workload(charge["charge"], key, within, as_of)
    st.html(
        pieces.crumbs(drill_models.crumbs(within, "One charge", period=chosen.slug))
        + pieces.title(drill_models.charge_finding(charge, names.get(key, key)), drill_models.how_final(charge))
        + pieces.heading("Why it is what it is")
        + pieces.steps([*drill_models.sentences(charge, names, workload), *drill_models.changes(charge)])
    )
    table = drill_models.evidence_table(charge)
    count = len(table.lines)
    st.html(
        pieces.heading(f"{count:,} usage records are its evidence", "As agents reported them, and how each was found")
    )
    st.html(pieces.table(table))
    downloads.offer(table, "evidence")
    if len(charge["hour"]) > 1:
        st.html(pieces.heading("All of the device's hour", "This charge and those beside it"))
        st.html(pieces.table(drill_models.beside_table(charge, names, within, period=chosen.slug)))
    st.code(f"gpuledger explain '{charge['charge']}'", language="bash")
    st.html(
        pieces.foot("The same on a terminal: the command above. Prices and owner rules are pinned by their version.")
    )


def _workload(charge: str, device: str, within: Within, as_of: str) -> str:
    """Return what the holder of a charge runs; empty where nobody held the device."""
    hour_us = parse_instant(charge.partition("@")[0][:13] + ":00Z")
    hour = f"{iso(hour_us)}..{iso(hour_us + US_PER_HOUR)}"
    asked_for = {"period": hour, "device": device, "within": str(within), "limit": "100"}
    rows = data.answer("charges", asked_for, as_of)["rows"]
    return next((row["workload"] or "" for row in rows if row["charge"] == charge), "")
