"""The page's address: each choice of the reader is in it, so that what is shown can be linked to."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st


def seed(name: str, options: Sequence[str], default: str) -> None:
    """Give the widget called `name` its first value: what the address says, where that is one of its options."""
    if st.session_state.get(name) not in options:
        asked = st.query_params.get(name)
        st.session_state[name] = asked if asked in options else default


def forget(name: str) -> None:
    """Take a choice out of the address."""
    st.query_params.pop(name, None)


def remember(name: str, value: str, default: str) -> None:
    """Put what was chosen into the address, and leave out what is the default.

    An address that says it already stays as it is: each change is a step that the browser's Back has to undo.
    """
    known = st.query_params.get(name)
    if known == value:
        return
    if value != default:
        st.query_params[name] = value
    elif known is not None:
        st.query_params.pop(name)
