"""With whose token the pages read: that of the reader, else that of the process; and a page that may not be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import streamlit as st

from dashboards import pieces
from gpuledger.errors import DeliveryError
from gpuledger.tokens import TOKEN, TOKEN_FILE, read_token

UNKNOWN: Final = 401
REFUSED: Final = (UNKNOWN, 403)
_KEPT: Final = "token"  # in the session of this browser tab only: it is gone when the tab is
_MAKE: Final = "gpuledger token create --role viewer --team ORGANISATION/DEPARTMENT/TEAM"
_WHO: Final = "Whoever runs the collector makes one (for the audit log with the role finance, approver or admin):"
_WHAT: Final = "Your token decides what you see here. It is kept for this tab only, and not in the address."


def token() -> str | None:
    """Return the token that is entered in this session, else that of GPULEDGER_TOKEN or GPULEDGER_TOKEN_FILE.

    Raises ConfigError where that file cannot be read.
    """
    entered = st.session_state.get(_KEPT)
    if entered:
        return str(entered)
    if os.environ.get(TOKEN):
        return os.environ[TOKEN].strip()
    return read_token(Path(os.environ[TOKEN_FILE])) if os.environ.get(TOKEN_FILE) else None


def ask(error: DeliveryError) -> None:
    """Say why a page is not shown, and take another token."""
    if error.status == UNKNOWN and not st.session_state.get(_KEPT):
        st.html(pieces.empty("This page needs a token", _WHAT, _WHO, command=_MAKE))
    elif error.status == UNKNOWN:
        st.html(pieces.empty("The collector does not know this token", "It may have expired, or been revoked.", _WHAT))
    else:
        st.html(pieces.empty("This page is not for you", error.message, error.hint))
    with st.form("sign_in", border=False):
        entered = st.text_input("Token", type="password", autocomplete="off", max_chars=4_096)
        if st.form_submit_button("Use this token") and _is_word(entered.strip()):
            st.session_state[_KEPT] = entered.strip()
            st.rerun()
    if st.session_state.get(_KEPT) and st.button("Forget my token"):
        del st.session_state[_KEPT]
        st.rerun()


def _is_word(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
