"""Families and samples as text: Prometheus' format 0.0.4 and OpenMetrics 1.0, and which of them a scraper wants."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from agent.metrics.family import COUNTER, INFO, Family, Filled

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TEXT: Final = ("text/plain", "text/*", "*/*")
_OPENMETRICS: Final = ("application/openmetrics-text",)
_GZIP: Final = 16 + zlib.MAX_WBITS


def render(families: Iterable[Filled], *, openmetrics: bool = False) -> bytes:
    """Return the exposition text. A family without samples is left out."""
    lines: list[str] = []
    for family, samples in families:
        if samples:
            name = family.name
            lines += _openmetrics_head(family) if openmetrics else _text_head(family)
            lines += [f"{name}{labels} {value}" for labels, value in samples]
    lines.append("# EOF\n" if openmetrics else "")
    return "\n".join(lines).encode()


def wants_openmetrics(accept: str) -> bool:
    """Return whether an `Accept` header ranks OpenMetrics (1.0 or 0.0.1) at least as high as plain text."""
    qualities = dict(_qualities(accept))
    openmetrics = max((qualities.get(name, 0.0) for name in _OPENMETRICS), default=0.0)
    return openmetrics > 0 and openmetrics >= max(qualities.get(name, 0.0) for name in _TEXT)


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether an `Accept-Encoding` header allows gzip."""
    qualities = dict(_qualities(accept_encoding))
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def gzipped(body: bytes) -> bytes:
    """Return the body compressed at the fastest level: a page shrinks to a twentieth at any."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def _text_head(family: Family) -> tuple[str, str]:
    kind = "gauge" if family.kind == INFO else family.kind
    return f"# HELP {family.name} {_text_help(family.help)}", f"# TYPE {family.name} {kind}"


def _openmetrics_head(family: Family) -> list[str]:
    """Return the head; a counter that is not named like one (a DCGM field) can only be of unknown type there."""
    name, kind = family.name, family.kind
    if kind == INFO:
        name = name.removesuffix("_info")
    elif kind == COUNTER:
        name = name.removesuffix("_total")
        kind = "unknown" if name == family.name else kind
    head = [f"# TYPE {name} {kind}"]
    if family.unit and name.endswith(f"_{family.unit}"):
        head.append(f"# UNIT {name} {family.unit}")
    return [*head, f"# HELP {name} {_text_help(family.help)}"]


def _text_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges or codings of a header with their quality, 1 where it is not given, 0 where unreadable."""
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        yield name, quality
