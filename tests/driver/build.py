"""Builds the driver library from its C sources, against NVIDIA's own header, once for each version of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAME = "libnvidia-ml.so.1"
VERSION = "580.105.08"
INSTALL = "apt-get install gcc, pip install nvidia-nvml-dev"
_BUILT = HERE.parents[1] / "build" / "driver"
_DECLARED = re.compile(r"^nvmlReturn_t DECLDIR (nvml\w+)\s*\(", re.MULTILINE)
_DEFINED = re.compile(r"^nvmlReturn_t (nvml\w+)\(", re.MULTILINE)


def missing() -> str:
    """Return what is missing to build the library, or nothing."""
    if shutil.which("cc") is None:
        return "no C compiler"
    return "" if _header() else "no nvml.h"


def build(version: str = VERSION) -> Path:
    """Return the library of that driver version, after building it where its sources changed."""
    sources = sorted(HERE.glob("*.c"))
    header = _header()
    assert header is not None, INSTALL
    digest = hashlib.sha256(version.encode())
    for path in (*sources, *sorted(HERE.glob("*.h")), header):
        digest.update(path.read_bytes())
    directory = _BUILT / digest.hexdigest()[:16]
    library = directory / NAME
    if not library.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _compile(sources, header, version, library)
    return library


def _compile(sources: list[Path], header: Path, version: str, library: Path) -> None:
    """Compile into place at once, so that two who build at the same time do not disturb each other."""
    unfinished = library.with_name(f"{NAME}.{os.getpid()}")
    rest = library.with_name(f"rest-{os.getpid()}.c")
    rest.write_text(rest_of(header.read_text(encoding="utf-8", errors="replace"), [p.read_text() for p in sources]))
    flags = ["-shared", "-fPIC", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f'-DDRIVER_VERSION="{version}"']
    compiler = shutil.which("cc")
    assert compiler, INSTALL
    subprocess.run(
        [compiler, *flags, "-I", header.parent, f"-Wl,-soname,{NAME}", "-o", unfinished, *sources, rest, "-lpthread"],
        check=True,
        timeout=120,
    )
    unfinished.replace(library)
    rest.unlink()


def rest_of(header: str, sources: list[str]) -> str:
    """Return C code for every function of the header that no source defines: the real library exports them all."""
    defined = {name for source in sources for name in _DEFINED.findall(source)}
    names = sorted(set(_DECLARED.findall(header)) - defined)
    return "".join(f"int {name}(void) {{ return 3; }} /* NVML_ERROR_NOT_SUPPORTED */\n" for name in names)


def _header() -> Path | None:
    try:
        found = files("nvidia-nvml-dev") or []
    except PackageNotFoundError:
        return None
    return next((Path(str(path.locate())) for path in found if path.name == "nvml.h"), None)


def require(version: str = VERSION) -> Path:
    """Return the library; skip the test where it cannot be built, which in continuous integration is a failure."""
    absent = missing()
    if absent:
        assert not os.environ.get("CI"), f"CI must build the driver library, and there is {absent}: {INSTALL}"
        pytest.skip(f"{absent}: {INSTALL}")
    return build(version)
