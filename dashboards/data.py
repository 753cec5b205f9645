"""What the pages read: the collector's API, each answer kept for as long as the ledger does not move on.

Answers are kept by the token that they were given to: no reader sees what was read for another.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboards.sign_in import token
from gpuledger.client import DEFAULT_URL, ClientTls, CollectorClient

Document = dict[str, Any]
STATUS_TTL_S: Final = 5
WHO_TTL_S: Final = 60
ANSWER_TTL_S: Final = 600
KEPT_ANSWERS: Final = 256
TIMEOUT_S: Final = 30.0
ARROW: Final = "application/vnd.apache.arrow.stream"


def collector_url() -> str:
    """Return the address that the launcher put into the environment."""
    return os.environ.get("GPULEDGER_URL") or DEFAULT_URL


def client(url: str, bearer: str | None) -> CollectorClient:
    """Return a client of the collector with somebody's token: the one place where pages get theirs."""
    return CollectorClient(url, token=bearer, timeout_s=TIMEOUT_S, tls=ClientTls.of_environment(os.environ))


def status() -> Document:
    """Return the collector's status, at most a few seconds old."""
    return _status(collector_url(), token())


def who() -> Document:
    """Return who reads, as the collector knows them: `name`, `role`, `teams`."""
    return _who(collector_url(), token())


def answer(name: str, params: Mapping[str, str], as_of: str) -> Document:
    """Return the answer called `name`; `as_of` names the state of the ledger that it was read from."""
    return _answer(collector_url(), token(), name, tuple(sorted(params.items())), as_of)


def table(name: str, params: Mapping[str, str]) -> pl.DataFrame:
    """Return the rows of an answer that may have very many of them; they are not kept."""
    reader = client(collector_url(), token())
    try:
        return pl.read_ipc_stream(io.BytesIO(reader.get(f"/v1/{name}", params, accept=ARROW)))
    finally:
        reader.close()


@st.cache_data(ttl=STATUS_TTL_S, show_spinner=False, max_entries=64)
def _status(url: str, bearer: str | None) -> Document:
    return _get(url, bearer, "status", {})


@st.cache_data(ttl=WHO_TTL_S, show_spinner=False, max_entries=256)
def _who(url: str, bearer: str | None) -> Document:
    return _get(url, bearer, "whoami", {})


@st.cache_data(ttl=ANSWER_TTL_S, show_spinner="Reading the ledger …", max_entries=KEPT_ANSWERS)
def _answer(
    url: str,
    bearer: str | None,
    name: str,
    params: tuple[tuple[str, str], ...],
    as_of: str,  # noqa: ARG001 - a cache key
) -> Document:
    return _get(url, bearer, name, dict(params))


def _get(url: str, bearer: str | None, name: str, params: Mapping[str, str]) -> Document:
    reader = client(url, bearer)
    try:
        document: Document = reader.get_json(f"/v1/{name}", params)
    finally:
        reader.close()
    return document
