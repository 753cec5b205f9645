"""The command that serves the pages: Streamlit with our theme, our port, and nothing that calls home."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Final

from dashboards.theme import streamlit_flags
from gpuledger.errors import ConfigError

DEFAULT_PORT: Final = 8501
LEAST_SECRET: Final = 32
_NEEDED: Final = ("redirect_uri", "cookie_secret", "client_id", "server_metadata_url")
_SEE: Final = "docs/guides/access.md has one for the pages"
_APP: Final = Path(__file__).parent / "entry" / "serve.py"


def command(port: int = DEFAULT_PORT, address: str = "127.0.0.1", secrets: Path | None = None) -> list[str]:
    """Return the command line; the collector's address travels in the environment as GPULEDGER_URL.

    `secrets` is a file of Streamlit's whose [auth] says how people sign in.
    """
    return [
        sys.executable,
        *("-m", "streamlit", "run", str(_APP)),
        f"--server.port={port}",
        f"--server.address={address}",
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--server.showEmailPrompt=false",
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
        "--client.showErrorDetails=none",
        "--client.showSidebarNavigation=false",
        "--logger.level=warning",
        *([f"--secrets.files={secrets.absolute()}"] if secrets else []),
        *streamlit_flags(),
    ]


def check_secrets(path: Path) -> None:
    """Raise ConfigError where a file does not say how people sign in, or would not hand their identity on to us."""
    try:
        auth = tomllib.loads(path.read_text(encoding="utf-8")).get("auth")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint=_SEE) from error
    if not isinstance(auth, dict):
        raise ConfigError(f"{path} has no [auth]", hint=_SEE)
    missing = [name for name in _NEEDED if name not in auth]
    if missing:
        raise ConfigError(f"[auth] of {path} has no {missing[0]}", hint=_SEE)
    exposed = auth.get("expose_tokens", [])
    if "id" not in ([exposed] if isinstance(exposed, str) else exposed):
        raise ConfigError(
            f"[auth] of {path} keeps identities to itself, so that the collector cannot know who reads",
            hint='add expose_tokens = "id"',
        )
    if len(str(auth["cookie_secret"])) < LEAST_SECRET:
        raise ConfigError(
            f"cookie_secret of {path} can be guessed: whoever knows it is anybody", hint="openssl rand -hex 32"
        )
