"""What every page stands in: the collector's status, and what to do where it has nothing or does not answer."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Final, ParamSpec

import streamlit as st

from dashboards import address, data, pieces, sign_in, wording
from dashboards.periods import Choice, choices, choose
from dashboards.theme import Mode
from gpuledger.accounting.periods import parse_instant
from gpuledger.errors import DeliveryError
from gpuledger.zones import find_zone

_Arguments = ParamSpec("_Arguments")
NO_DATA_TITLE: Final = "The ledger is empty so far"
NO_DATA: Final = (
    "The collector runs, and no agent has delivered anything yet. Start one on a node with GPUs; its first figures are "
    "here within two minutes. To see the pages with a simulated fleet, run the demo."
)
STANDING: Final = ("watermark", "usage_rows", "events", "quarantined", "pending_hours", "changes")


def draw(page: Callable[[data.Document], None]) -> None:
    """Draw a page over the collector's status, or say what to do where it cannot be drawn."""
    if sign_in.is_missing():
        sign_in.ask_who()
        return
    try:
        status = data.status()
        if status["watermark"] is None or status["first_usage"] is None:
            st.html(pieces.empty(NO_DATA_TITLE, NO_DATA, command="gpuledger agent    ·    gpuledger demo"))
        else:
            page(status)
    except DeliveryError as error:
        _say(error)
        if error.status != sign_in.FORBIDDEN:
            return  # who reads is not known
    with contextlib.suppress(DeliveryError):
        sign_in.stand(data.who())


def part(draw: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Let a part of a page be drawn again alone when something in it is chosen: the rest stands."""

    @functools.wraps(draw)
    def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except DeliveryError as error:
            _say(error)

    return st.fragment(guarded)


def _say(error: DeliveryError) -> None:
    if error.status in sign_in.REFUSED:
        sign_in.ask(error)
        return
    st.html(pieces.empty(*trouble(error)))
    if st.button("Try again"):
        st.cache_data.clear()
        st.rerun()


def trouble(error: DeliveryError) -> tuple[str, str, str]:
    """Return what is wrong, in whose words, and what to do."""
    if "timed out" in error.message:
        longer = f"It took more than {data.TIMEOUT_S:.0f} seconds."
        return (
            "The collector is slow to answer",
            longer,
            "Next step: choose a shorter period, or try again in a moment.",
        )
    title = "The collector does not answer" if error.status is None else "The collector could not answer"
    return title, error.message, f"Next step: {error.hint}" if error.hint else ""


def mode() -> Mode:
    """Return whether the reader's page is light or dark."""
    return "dark" if st.context.theme.type == "dark" else "light"


def as_of(status: data.Document) -> str:
    """Return the name of the state that the ledger is in: answers are kept for as long as it stays."""
    return "/".join(str(status[name]) for name in STANDING)


def brand(status: data.Document) -> str:
    """Return the line above a page: how fresh it is, and whose days its periods mean."""
    return pieces.brand(wording.instant(status["watermark"]), status["zone"])


def stand(status: data.Document) -> None:
    """Draw that line on a page that has no period to choose."""
    st.html(brand(status))


def choose_period(status: data.Document) -> Choice:
    """Draw the line with the period to choose, which the address keeps; return the choice."""
    zone = find_zone(status["zone"])
    known = choices(parse_instant(status["first_usage"]), parse_instant(status["watermark"]), zone)
    asked = choose(st.query_params.get("period"), known, zone)
    by_slug = {choice.slug: choice for choice in (known if asked in known else [*known, asked])}
    address.seed("period", list(by_slug), asked.slug)
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.html(brand(status))
    slug = right.selectbox(
        "Period",
        list(by_slug),
        format_func=lambda slug: by_slug[slug].name,
        label_visibility="collapsed",
        key="period",
        on_change=address.forget,
        args=("first",),  # rows of another period are others
    )
    chosen = by_slug[slug or asked.slug]
    address.remember("period", chosen.slug, known[0].slug)
    return chosen
