"""What Streamlit serves: the pages, and beside them the two addresses that keep and forget a reader's token."""

from __future__ import annotations

from pathlib import Path

from streamlit.starlette import App

from dashboards.token_page import routes

app = App(Path(__file__).parent / "app.py", routes=routes())
