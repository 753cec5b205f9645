"""The first tokens: files that the collector takes over at its start, and writes where its ledger is new."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from collector.access import secrets
from collector.access.roles import Role
from collector.access.tokens import TokenBook, Wanted
from collector.audit.actor import acting
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.tokens import ADMIN, JOIN, SUFFIX, read_token, write_token

VIEWER: Final = "viewer"
FIRST_USES: Final = 1_000
FIRST_DAYS: Final = 90
_log: Final = logging.getLogger(__name__)


def take_over(book: TokenBook, directory: Path, now_us: int) -> None:
    """Let the token files of a folder be tokens of the ledger; write the first ones where it has none at all.

    One is for the administrator, one for agents to join with, and one for pages and Prometheus to read with.

    A file whose token the ledger does not know is a token from now on, in the place of the one that had its name.
    Raises ConfigError where a file has no token, or one that was revoked.
    """
    new = not book.tokens
    with acting("collector"):
        for name, wanted in _wanted(now_us).items():
            path = directory / f"{name}{SUFFIX}"
            if path.is_file():
                _take(book, path, wanted, now_us)
            elif new:
                _write(book, path, wanted)


def _wanted(now_us: int) -> dict[str, Wanted]:
    until_us = now_us + FIRST_DAYS * 24 * US_PER_HOUR
    return {
        ADMIN: Wanted(Role.ADMIN, (), ADMIN),
        JOIN: Wanted(Role.JOIN, (), JOIN, until_us, FIRST_USES),
        VIEWER: Wanted(Role.VIEWER, (), VIEWER),
    }


def _take(book: TokenBook, path: Path, wanted: Wanted, now_us: int) -> None:
    text = read_token(path)
    if not secrets.well_formed(text):
        raise ConfigError(f"{path} has no token that is hard to guess", hint="make one with: openssl rand -hex 32")
    known = book.find(text)
    if known and known.live(now_us):
        return
    if known:
        _log.warning("the token in %s has ended: remove the file, or put another token into it", path)
        return
    for old in [each for each in book.tokens if each.name == wanted.name and each.live(now_us)]:
        book.revoke(old.id, f"{path.name} has another token now")
    given = wanted._replace(expires_us=None, uses=None)  # somebody keeps these files, and exchanges them
    book.create(given, text)


def _write(book: TokenBook, path: Path, wanted: Wanted) -> None:
    """Write a new token first and keep it then: one that nobody has is of no use, and exchanged at the next start."""
    token = secrets.make()
    try:
        write_token(path, token)
    except OSError as error:
        _log.warning("no %s token: %s cannot be written: %s", wanted.name, path, error)
        return
    book.create(wanted, token)
    _log.info("a new %s token is in %s", wanted.name, path)
