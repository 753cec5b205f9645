"""The command that serves the pages: Streamlit with our theme, our port, and nothing that calls home."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from dashboards.theme import streamlit_flags

DEFAULT_PORT: Final = 8501
_APP: Final = Path(__file__).parent / "entry" / "app.py"


def command(port: int = DEFAULT_PORT, address: str = "127.0.0.1") -> list[str]:
    """Return the command line; the collector's address travels in the environment as GPULEDGER_URL."""
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
        *streamlit_flags(),
    ]
