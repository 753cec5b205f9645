"""Tokens as text: made of 256 random bits, kept as their SHA-256 only, and found again by that."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Final

PREFIX: Final = "gpuledger_"  # so that people, and scanners for leaked secrets, know what it is
BYTES: Final = 32
SHORTEST: Final = 32  # of one that somebody else made
_SHOWN: Final = len(PREFIX) + 4
_GIVEN: Final = re.compile(r"[\x21-\x7e]{32,512}", re.ASCII)


def make() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(BYTES)


def digest(token: str) -> bytes:
    """Return what is kept of a token. Looking one up by it says nothing of others by the time that it takes."""
    return sha256(token.encode()).digest()


def shown(token: str) -> str:
    """Return what lists show of a token, so that people tell theirs apart: nothing of one that we did not make."""
    return f"{token[:_SHOWN]}…" if token.startswith(PREFIX) else ""


def well_formed(token: str) -> bool:
    """Tell whether a text that somebody gave can be a token: long enough, and printable without blanks."""
    return _GIVEN.fullmatch(token) is not None
