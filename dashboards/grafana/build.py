"""Write the dashboards' JSON: `python -m dashboards.grafana.build`; a test keeps it in step with the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana.boards import ALL

FOLDER: Final = Path(__file__).parent / "json"


def documents() -> dict[Path, str]:
    """Return what each file should hold."""
    return {
        FOLDER / f"{name}.json": json.dumps(make().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, make in ALL.items()
    }


def main() -> None:
    """Write the files."""
    for path, content in documents().items():
        path.write_text(content)


if __name__ == "__main__":
    main()
