"""GPUs in Slurm's words: `gres/gpu=4,gres/gpu:a100=4` is four A100, counted once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_GPU: Final = re.compile(r"gres/gpu(?::(?P<model>[^=]+))?=(?P<count>\d+)")
_SHARD: Final = re.compile(r"gres/shard(?::[^=]+)?=0*[1-9]")
TRES_SHAPE: Final = re.compile(
    r"(?:[a-z_]+(?:/[^=,|\s]+)?=[^=,|\s]+(?:,[a-z_]+(?:/[^=,|\s]+)?=[^=,|\s]+)*)?", re.IGNORECASE
)


class Gpus(NamedTuple):
    """The GPUs that a job was given, by model; the untyped rest has the model ''."""

    by_model: tuple[tuple[str, int], ...]
    shards_only: bool = False
    contradiction: str = ""  # the typed counts exceed the total


def parse_gpus(tres: str) -> Gpus:
    """Return the GPUs in an `AllocTRES` string."""
    counts = [(found["model"] or "", int(found["count"])) for found in map(_GPU.fullmatch, tres.split(",")) if found]
    return count_gpus(counts, has_shards=any(_SHARD.match(item) for item in tres.split(",")))


def count_gpus(counts: Iterable[tuple[str, int]], *, has_shards: bool = False) -> Gpus:
    """Return GPUs by model from typed and untyped counts: the untyped count is the total, not an addition."""
    typed: dict[str, int] = {}
    total = 0
    for model, count in counts:
        if model:
            typed[model] = typed.get(model, 0) + count
        else:
            total = max(total, count)
    known = sum(typed.values())
    contradiction = f"gres/gpu={total} but its models add up to {known}" if 0 < total < known else ""
    if total > known:
        typed[""] = total - known
    by_model = tuple((model, count) for model, count in typed.items() if count)
    return Gpus(by_model, shards_only=has_shards and not by_model, contradiction=contradiction)
