"""Writes deploy/docker/requirements/*.txt: of the locked set, with its hashes, only what one image installs.

Run it after `make lock`, in the environment of the lock: `make image-requirements`.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements" / "dev.txt"
OUT: Final = Path(__file__).parent / "requirements"
IMAGES: Final = {  # what each image installs, beside the package itself
    "agent": ("gpuledger[agent]",),
    "collector": ("gpuledger[collector]",),
    "dashboards": ("gpuledger[dashboards]",),
    "reports": ("gpuledger[analytics]",),
    "build": ("hatchling",),  # builds the package, and is in no image
}
_HEAD: Final = "# Made by `make image-requirements` from requirements/dev.txt. Do not edit.\n"


def closure(roots: tuple[str, ...]) -> frozenset[str]:
    """Return the names of everything that `roots` need, themselves included, on this platform."""
    waiting, seen = [Requirement(root) for root in roots], dict[str, set[str]]()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = wanted.extras | {""}
        new = extras - seen.setdefault(name, set())
        seen[name] |= extras
        for text in (requires(name) or ()) if new else ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return frozenset(seen)


def blocks(lock: str) -> dict[str, str]:
    """Return each package's lines of the lock, under its name."""
    found: dict[str, str] = {}
    for block in re.split(r"^(?=\S)", lock, flags=re.MULTILINE):
        name, pinned, _ = block.partition("==")
        if pinned:
            found[canonicalize_name(name)] = block
    return found


def pins(image: str, lock: str) -> str:
    """Return the requirements file of an image. Raises KeyError where the lock lacks something that it needs."""
    locked = blocks(lock)
    return _HEAD + "".join(locked[name] for name in sorted(closure(IMAGES[image]) - {"gpuledger"}))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    text = LOCK.read_text("utf-8")
    for image in IMAGES:
        (OUT / f"{image}.txt").write_text(pins(image, text), "utf-8")
        sys.stdout.write(f"{OUT / image}.txt\n")
