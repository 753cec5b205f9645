"""Reading an object that somebody else wrote: each field is what it should be, or an error names it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from gpuledger.errors import AdmissionError

Object = dict[str, Any]
MOST: Final = 1_000_000  # GPUs, replicas, nodes: beyond it a number is a mistake
_QUANTITY: Final = re.compile(r"([+-]?[0-9]{1,18}(?:\.[0-9]{0,9})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][0-9]{1,2})?")
_SUFFIX: Final = {
    "m": Decimal("0.001"),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}


def inner(owner: Object, name: str) -> Object:
    """Return the object in a field; an empty one where it is absent."""
    value = owner.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise AdmissionError(f"{name} is no object")
    return value


def items(owner: Object, name: str) -> Iterator[Object]:
    """Yield the objects of a list; none where it is absent."""
    value = owner.get(name)
    if value is None:
        return
    if not isinstance(value, list):
        raise AdmissionError(f"{name} is no list")
    for each in value:
        if not isinstance(each, dict):
            raise AdmissionError(f"{name} holds something that is no object")
        yield each


def text(owner: Object, name: str) -> str:
    """Return the text in a field; an empty one where it is absent."""
    value = owner.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AdmissionError(f"{name} is no text")
    return value


def texts(owner: Object, name: str) -> dict[str, str]:
    """Return a map of texts, such as labels."""
    found = inner(owner, name)
    for key, value in found.items():
        if not isinstance(value, str):
            raise AdmissionError(f'{name} "{key[:80]}" is no text')
    return found


def count(owner: Object, name: str, default: int) -> int:
    """Return the whole number in a field, such as replicas."""
    value = owner.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise AdmissionError(f"{name} is not a whole number from 0 to {MOST}")
    return value


def whole_quantity(value: object, name: str) -> int:
    """Return a Kubernetes quantity of something that comes whole: `2`, `"2"`, `"1k"`. Raises AdmissionError otherwise.

    The grammar is that of apimachinery's resource.Quantity; extended resources have to be whole numbers.
    """
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise AdmissionError(f"{name}: {str(value)[:40]!r} is no quantity")
    suffix = found[2] or ""
    factor = (
        Decimal(10) ** int(suffix[1:]) if suffix[:1] in ("e", "E") and suffix[1:].isdigit() else _SUFFIX.get(suffix)
    )
    number = Decimal(found[1]) * (Decimal(1) if factor is None else factor)
    if number != number.to_integral_value() or not 0 <= number <= MOST:
        raise AdmissionError(f"{name}: {str(value)[:40]!r} is not a whole number from 0 to {MOST}")
    return int(number)
