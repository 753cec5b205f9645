"""With whose token the pages read: that of single sign-on, else of the reader's cookie, else of the process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import streamlit as st

from dashboards import pieces, token_page
from gpuledger.errors import ConfigError, DeliveryError
from gpuledger.tokens import TOKEN, TOKEN_FILE, read_token

UNKNOWN: Final = 401
FORBIDDEN: Final = 403
REFUSED: Final = (UNKNOWN, FORBIDDEN)
_MAKE: Final = "gpuledger token create --role viewer --team ORGANISATION/DEPARTMENT/TEAM"
_WHO: Final = "Whoever runs the collector makes one (for the audit log with the role finance, approver or admin):"
_ENDED: Final = "It may have expired, or been revoked. Enter another one, or ask for one."
_WHAT: Final = "Your token decides what you see here."
_HERE: Final = ("127.0.0.1", "::1", "localhost")


def token() -> str | None:
    """Return the identity token of the signed-in reader, else the reader's token, else that of the process.

    The process's is GPULEDGER_TOKEN or GPULEDGER_TOKEN_FILE; with single sign-on nobody reads with it. Raises
    ConfigError where that file cannot be read, or where Streamlit is not told to hand identity tokens out.
    """
    if _signed_in():
        return _identity()
    typed = _typed()
    if typed or has_single_sign_on():
        return typed or None
    if os.environ.get(TOKEN):
        return os.environ[TOKEN].strip()
    return read_token(Path(os.environ[TOKEN_FILE])) if os.environ.get(TOKEN_FILE) else None


def has_single_sign_on() -> bool:
    """Return whether Streamlit's secrets have an OIDC issuer."""
    return "is_logged_in" in st.user


def is_missing() -> bool:
    """Return whether nothing is to be asked of the collector, since nobody says who reads.

    That is so with single sign-on, and where the pages are served to other machines: the collector takes a question
    without a token, from its own machine, for one of who sits there.
    """
    if token():
        return False
    address = str(st.get_option("server.address") or "")
    return has_single_sign_on() or (bool(address) and address not in _HERE)


def ask_who() -> None:
    """Let the reader say who they are."""
    if has_single_sign_on():
        st.html(pieces.empty("Sign in to see your figures", "What you see here follows from your role and your teams."))
        _offer_login("Sign in")
    else:
        st.html(pieces.empty("This page needs a token", _WHAT, _WHO, command=_MAKE))
        _offer_token()


def ask(error: DeliveryError) -> None:
    """Say why a page is not shown, and let the reader be somebody else."""
    if error.status != UNKNOWN:
        st.html(pieces.empty("This page is not for you", error.message, error.hint))
        if not _signed_in():
            _offer_token()
    elif _signed_in():
        st.html(pieces.empty(*_not_taken(error)))
        _offer_login("Sign in again")
    elif _typed():
        st.html(pieces.empty("The collector does not know this token", _ENDED, _WHO, command=_MAKE))
        _offer_token()
    else:
        ask_who()


def stand(who: dict[str, Any]) -> None:
    """Draw who reads below a page, and the way out."""
    if _signed_in():
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.html(pieces.reader(f"Signed in as {who['name']}, {in_words(who)}"))
        if right.button("Sign out", width="stretch"):
            st.logout()
    elif _typed():
        words = f"Your token: {who['name']}, {in_words(who)}"
        st.html(pieces.reader(words, "Sign out or use another", _form_address()))
    else:
        st.html(pieces.reader("You see what everybody sees here", "Use a token of your own", _form_address()))


def in_words(who: dict[str, Any]) -> str:
    """Return the role, and what it is bound to."""
    teams = who.get("teams") or []
    return f"{who['role']} of {', '.join(teams)}" if teams else str(who["role"])


def _signed_in() -> bool:
    return has_single_sign_on() and bool(st.user.is_logged_in)


def _identity() -> str:
    try:
        return str(st.user.tokens["id"])
    except KeyError:
        raise ConfigError(
            "single sign-on does not hand out who signed in", hint='add expose_tokens = "id" to [auth] in secrets.toml'
        ) from None


def _typed() -> str:
    typed = st.context.cookies.get(token_page.COOKIE, "")
    return typed if token_page.is_word(typed) else ""


def _not_taken(error: DeliveryError) -> tuple[str, str, str]:
    expires = st.user.get("exp")
    if isinstance(expires, (int, float)) and expires <= time.time():
        so_long = "What your organisation signed you in with is good for so long only."
        return "Your session has ended", so_long, "Sign in again to go on where you are."
    name = st.user.get("email") or st.user.get("name") or st.user.get("sub")
    return (
        "Your sign-in is not known to the collector",
        f"You are signed in as {name}, and no role here goes with it.",
        error.hint or "Ask whoever runs the collector for a role: [oidc] roles and teams in its settings.",
    )


def _offer_login(words: str) -> None:
    left, _ = st.columns([1, 3])
    if left.button(words, type="primary", width="stretch"):
        st.login()
    if not _signed_in():
        st.html(pieces.more("Use a token instead", _form_address()))


def _offer_token() -> None:
    st.html(pieces.more("Enter a token", _form_address()))


def _form_address() -> str:
    """Return where a token is entered, leading back to this very view."""
    parts = urlsplit(st.context.url or "/")
    query = urlencode(st.query_params.to_dict())
    return token_page.sign_in_address(f"{parts.path or '/'}?{query}" if query else parts.path or "/")
