"""The entry that Streamlit runs: one look, and the list of pages."""

from __future__ import annotations

import streamlit as st

from dashboards.pages import overview
from dashboards.theme import stylesheet

st.set_page_config(page_title="GPU cost · gpuledger", page_icon=":material/receipt_long:", layout="wide")
st.html(stylesheet())
st.navigation([st.Page(overview.render, title="Overview", default=True)], position="hidden").run()
