"""Which machine on a bill is which node in the ledger: a file of pairs and rules, and what holds without one.

Without a file a resource is the node that its ResourceName, or the last part of its ResourceId (after `/` or `:`),
names, whatever its case. A file may pair resources with nodes, name a tag that holds the node, say which SKUs are GPU
machines, and at which rates other currencies count.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from gpuledger.errors import ConfigError

_KEYS: Final = {"machines": dict, "match": dict, "gpu": dict, "exchange": dict}
_LAST_PART: Final = re.compile(r"[^/:]+$")
RULE: Final = "ResourceName, or the last part of ResourceId, is the node's name"


class BillMap(NamedTuple):
    """How a bill's resources are found among nodes. Patterns of `gpu_skus` are matched without regard to case."""

    machines: Mapping[str, str] = {}  # ResourceId -> node
    tag: str = ""
    gpu_skus: tuple[str, ...] = ()  # regular expressions over SkuId, SkuMeter, SkuPriceDetails and ChargeDescription
    exchange: Mapping[str, Decimal] = {}  # currency of a bill -> units of the ledger's currency for one of it

    @property
    def rule(self) -> str:
        """Return the rule in words."""
        pairs = [f"{len(self.machines):,} resources are paired with nodes"] if self.machines else []
        return "; else ".join([*pairs, *([f"the tag {self.tag} is the node's name"] if self.tag else []), RULE])


class Nodes:
    """The ledger's nodes, found by what a bill calls them."""

    def __init__(self, names: Iterable[str], bill_map: BillMap) -> None:
        self._names = {name.lower(): name for name in names}
        self._map = bill_map

    def find(self, resource: str, name: str | None, tags: str | None = None) -> str | None:
        """Return the node that a resource is; None where it is none of them."""
        paired = self._map.machines.get(resource)
        if paired is not None:
            return paired
        last = _LAST_PART.search(resource)
        for word in (_tag(tags, self._map.tag), name, last[0] if last else None):
            found = self._names.get(word.strip().lower()) if word else None
            if found:
                return found
        return None


def read_bill_map(path: Path | None) -> BillMap:
    """Return the map in a TOML file; raises ConfigError where it cannot be used."""
    if path is None:
        return BillMap()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}", hint="give a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not TOML: {error}", hint="see docs/guides/reconcile.md") from error
    return _parse(document, path.name)


def parse_rate(text: str, where: str) -> Decimal:
    """Return an exchange rate; raises ConfigError where it is not a positive number."""
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not rate.is_finite() or rate <= 0:
        raise ConfigError(f"{where}: {text!r} is not an exchange rate", hint='write it as text, as in USD = "0.92"')
    return rate


def _parse(document: Mapping[str, Any], source: str) -> BillMap:
    _known(document, _KEYS, source)
    for name, value in document.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{source}: {name} is no table", hint=f"write [{name}]")
    match, gpu = document.get("match", {}), document.get("gpu", {})
    _known(match, ("tag",), f"{source} [match]")
    _known(gpu, ("skus",), f"{source} [gpu]")
    machines = document.get("machines", {})
    for resource, node in machines.items():
        if not isinstance(node, str) or not node:
            raise ConfigError(f"{source} [machines]: {resource} has no node", hint='write "i-0abc" = "node-1"')
    return BillMap(
        machines=machines,
        tag=str(match.get("tag", "")),
        gpu_skus=tuple(_pattern(text, source) for text in gpu.get("skus", ())),
        exchange={
            name: parse_rate(str(rate), f"{source} [exchange] {name}")
            for name, rate in document.get("exchange", {}).items()
        },
    )


def _known(given: Iterable[str], known: Iterable[str], where: str) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(names)}"
            raise ConfigError(f'{where}: there is no key "{name}"', hint=hint)


def _pattern(text: object, source: str) -> str:
    try:
        re.compile(str(text))
    except re.error as error:
        raise ConfigError(f"{source} [gpu] skus: {text!r} is no regular expression: {error}") from error
    return str(text)


def _tag(tags: str | None, name: str) -> str | None:
    if not tags or not name:
        return None
    try:
        found = msgspec.json.decode(tags, type=dict[str, Any]).get(name)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return None if found is None else str(found)
