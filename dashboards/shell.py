"""What every page stands in: the collector's status, and what to do where it has nothing or does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from dashboards import data, pieces
from gpuledger.errors import DeliveryError

NO_DATA_TITLE: Final = "The ledger is empty so far"
NO_DATA: Final = (
    "The collector runs, and no agent has delivered anything yet. Start one on a node with GPUs; its first figures are "
    "here within two minutes. To see the pages with a simulated fleet, run the demo."
)
STANDING: Final = ("watermark", "usage_rows", "pending_hours", "price_version", "owner_version", "policy_version")


def draw(page: Callable[[data.Document], None]) -> None:
    """Draw a page over the collector's status, or say what to do where it cannot be drawn."""
    try:
        status = data.status()
        if status["watermark"] is None or status["first_usage"] is None:
            st.html(pieces.empty(NO_DATA_TITLE, NO_DATA, command="gpuledger agent    ·    gpuledger demo"))
            return
        page(status)
    except DeliveryError as error:
        title = "The collector does not answer" if error.status is None else "The collector could not answer"
        st.html(pieces.empty(title, error.message, f"Next step: {error.hint}" if error.hint else ""))
        if st.button("Try again"):
            st.cache_data.clear()
            st.rerun()


def as_of(status: data.Document) -> str:
    """Return the name of the state that the ledger is in: answers are kept for as long as it stays."""
    return "/".join(str(status[name]) for name in STANDING)
