"""Where a reader without single sign-on gives a token: a plain page of ours, which keeps it in a cookie.

The browser gives an HttpOnly cookie to the pages' server alone: no script and no markup on a page can read it, it is in
no address, and it stays over links and reloads until the browser is closed. Streamlit's Python cannot set one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboards.theme import stylesheet
from gpuledger.client import DEFAULT_URL, ClientTls, CollectorClient
from gpuledger.errors import GpuLedgerError

COOKIE: Final = "gpuledger_token"
SIGN_IN: Final = "sign-in"
SIGN_OUT: Final = "sign-out"
MAX_TOKEN: Final = 4_000  # what browsers keep in one cookie, less its name and attributes
_MAX_BODY: Final = 16_384
_WHAT: Final = (
    "It decides what you see here. This browser keeps it until it is closed, where no page can read it; it never"
    " stands in an address."
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser does not say either that a form is of this site
    "X-Content-Type-Options": "nosniff",
}


def routes() -> list[Route]:
    """Return the addresses: the form, what it sends to, and the way out."""
    base = _base()
    return [
        Route(f"{base}{SIGN_IN}", _form, methods=["GET"]),
        Route(f"{base}{SIGN_IN}", _keep, methods=["POST"]),
        Route(f"{base}{SIGN_OUT}", _forget, methods=["POST"]),
    ]


def sign_in_address(back: str) -> str:
    """Return the form's address, which leads back to a page of ours."""
    return f"{_base()}{SIGN_IN}?{urlencode({'back': back})}"


def is_word(text: str) -> bool:
    """Return whether a text can be a token at all."""
    return 0 < len(text) <= MAX_TOKEN and text.isascii() and text.isprintable() and not set(text) & set(' ",;\\')


def safe_back(given: str, base: str = "/") -> str:
    """Return where to go on, an address on this server; its first page where another is given."""
    plain = given.isprintable() and "\\" not in given and given.startswith(base) and not given.startswith("//")
    return given if plain else base


async def _form(request: Request) -> Response:
    return _page(safe_back(request.query_params.get("back", ""), _base()), kept=COOKIE in request.cookies)


async def _keep(request: Request) -> Response:
    given = await _sent(request)
    if given is None:
        return _page(_base(), "This came from another site, or was too long: nothing was kept.", status=403)
    back, token = safe_back(given.get("back", ""), _base()), given.get("token", "").strip()
    trouble = await run_in_threadpool(_trouble, token)
    if trouble:
        return _page(back, trouble, kept=COOKIE in request.cookies, status=400)
    answer = RedirectResponse(back, status_code=303, headers={"Cache-Control": "no-store"})
    # Lax, not Strict: a link to a view in a mail has to find its reader. What changes anything is a POST of our own.
    secure = request.headers.get("origin", "").startswith("https:")  # what the browser speaks, with a proxy or without
    answer.set_cookie(COOKIE, token, path=_base(), httponly=True, samesite="lax", secure=secure)
    return answer


async def _forget(request: Request) -> Response:
    if await _sent(request) is None:
        return _page(_base(), "This came from another site: your token is still kept.", kept=True, status=403)
    answer = RedirectResponse(f"{_base()}{SIGN_IN}", status_code=303, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(COOKIE, path=_base(), httponly=True, samesite="lax")
    return answer


async def _sent(request: Request) -> Mapping[str, str] | None:
    """Return the fields of a form of ours; None where another site made the browser send it, or it is too long."""
    origin = urlsplit(request.headers.get("origin", "")).netloc
    same = request.headers.get("sec-fetch-site") == "same-origin"  # holds behind proxies that change the host, too
    if not same and (not origin or origin != request.headers.get("host")):
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            return None
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}


def _trouble(token: str) -> str:
    """Return why a token is not kept; empty where the collector knows it."""
    if not is_word(token):
        return "That is no token: it is one word, as it was given out."
    url = os.environ.get("GPULEDGER_URL") or DEFAULT_URL
    tls = ClientTls.of_environment(os.environ)
    try:
        with closing(CollectorClient(url, token=token, timeout_s=10.0, tls=tls)) as client:
            client.get_json("/v1/whoami", {})
    except GpuLedgerError as error:
        if getattr(error, "status", None) == 401:
            return "The collector does not know this token. It may have expired, or been revoked."
        return f"It could not be checked, so it was not kept: {error.message}"
    return ""


def _page(back: str, trouble: str = "", *, kept: bool = False, status: int = 200) -> Response:
    said = f'<p role="alert" class="why">{escape(trouble)}</p>' if trouble else ""
    out = _OUT.replace("{action}", f"{_base()}{SIGN_OUT}") if kept else ""
    html = (
        _HTML.replace("{style}", stylesheet() + _STYLE)
        .replace("{action}", f"{_base()}{SIGN_IN}")
        .replace("{what}", escape(_WHAT))
        .replace("{said}", said)
        .replace("{out}", out)
        .replace("{back}", escape(back))
    )
    return HTMLResponse(html, status_code=status, headers=_HEADERS)


def _base() -> str:
    """Return the path below which the pages are served, `/` as a rule."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}/" if path else "/"


_STYLE: Final = """<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 'Source Sans', 'Helvetica Neue', Arial, sans-serif; margin: 0; background: Canvas; }
main { max-width: 34rem; margin: 12vh auto 0; padding: 0 1.2rem; }
input, button { font: inherit; padding: .5rem .7rem; border-radius: 8px; border: 1px solid GrayText; }
input { width: 100%; box-sizing: border-box; margin: .3rem 0 .8rem; }
.why { font-weight: 600; }
form.out { margin-top: 2.2rem; }
</style>"""
_HTML: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in · gpuledger</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{style}<main>
<div class="gl-brand"><i></i><b>gpuledger</b></div>
<h1 class="gl-finding">Your token, please</h1><p class="gl-lead">{what}</p>{said}
<form method="post" action="{action}"><input type="hidden" name="back" value="{back}">
<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="off" required autofocus
 maxlength="4000"><button>Use this token</button></form>{out}
<p class="gl-foot">Whoever runs the collector makes one: gpuledger token create --role viewer --team
 ORGANISATION/DEPARTMENT/TEAM. <a href="{back}">Back to the pages</a></p></main></html>"""
_OUT: Final = """<form class="out" method="post" action="{action}">
<p class="gl-sub">A token is kept in this browser.</p>
<button>Forget my token</button></form>"""
