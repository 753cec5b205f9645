"""The entry that Streamlit runs: one look, and the list of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from dashboards import navigation
from dashboards.theme import stylesheet

ICON: Final = Path(__file__).parents[1] / "icon.png"  # a named icon would be fetched from the internet

st.set_page_config(page_title="GPU cost · gpuledger", page_icon=str(ICON), layout="wide")
st.html(stylesheet())
navigation.run()
