"""Tells values that may be secrets, so that they are dropped even where a rule asks for the variable that holds them.

Values stand beside tokens and passwords, and tools put credentials into addresses. Better an identity that lacks a
name than a ledger that keeps a password.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_MARKS: Final = re.compile(
    r"eyJ[\w-]{6,}\.[\w-]{6,}"  # a JSON web token
    r"|-----BEGIN"
    r"|\b(?:hf|gh[opusr]|npm|dckr_pat|github_pat|wandb_v\d|whsec|[rs]k_live|[rs]k_test|dop_v1)_[a-z0-9]{16,}"
    r"|\b(?:sk|glpat|pypi|xox[abeoprs])-(?:[\w-]*-)?(?=[a-z]*\d)[a-z0-9_]{16,}|\bdapi[0-9a-f]{30,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}"
    r"|\b(?:bearer|basic|digest)\s+[\w+/.=-]{8,}"
    r"|://[^/\s:@]*:[^/\s@]+@"  # a password in an address
    r"|(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|pwd|credential|signature|sig)s?[\"']?\s*[=:]\s*\S",
    re.IGNORECASE,
)
_LEGACY_KEY: Final = re.compile(r"[0-9a-f]{40}")  # how several services wrote their API keys; no id of a run has 40
_RUN_OF_LETTERS: Final = re.compile(r"[A-Za-z0-9+/=]{32,}")
_LENGTH_OF_CLOUD_KEYS: Final = 40
_SECRET_NAME: Final = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PWD|CREDENTIALS?|AUTH|COOKIE)S?(?:_|$)")
_PLACES: Final = frozenset({"DAGSTER_RUN_STEP_KEY"})  # a key in the sense of a name


def looks_secret(value: str) -> bool:
    """Return whether `value` may hold a token, a key or a password."""
    if _MARKS.search(value) or _LEGACY_KEY.fullmatch(value):
        return True
    return any(_is_random(run) for run in _RUN_OF_LETTERS.findall(value))


def names_a_secret(variable: str) -> bool:
    """Return whether an environment variable is, by its name, one that holds a secret."""
    return variable not in _PLACES and _SECRET_NAME.search(variable.upper()) is not None


def _is_random(run: str) -> bool:
    """Return whether a long run mixes capitals, small letters and digits, as encoded keys do."""
    digits = sum(character.isdigit() for character in run)
    changes = sum(a.isupper() != b.isupper() for a, b in pairwise(run) if a.isalpha() and b.isalpha())
    if len(run) == _LENGTH_OF_CLOUD_KEYS:
        return digits >= 1 and changes >= 8
    is_path = max(map(len, run.split("/"))) < 32
    return not is_path and digits >= 3 and changes >= 6
