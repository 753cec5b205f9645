"""What a published price list offers: a machine with GPUs for an hour, wherever it stands and however it is sold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from collector.pricing.fields import MAX_RATE, decimal_field
from collector.pricing.records import FileKind, Record, read_document
from gpuledger.errors import PriceBookError

Pricing = Literal["on_demand", "spot"]
PRICINGS: Final[tuple[Pricing, ...]] = ("on_demand", "spot")
KIND: Final = FileKind("offer", "offer", PriceBookError, "a price list has a header and a line for each machine")


class Offer(NamedTuple):
    """One price: of which line, for which machine and GPUs, by the hour of the whole machine.

    `gpu` is the GPU's name as the list has it, empty where only the machine is named; `gpus` is None where the list
    does not say how many there are; `model` is NVML's name (or a pattern) where the list itself tells it.
    """

    where: str
    instance: str
    price: Decimal
    gpu: str = ""
    gpus: int | None = None
    region: str = ""
    pricing: Pricing = "on_demand"
    currency: str = "USD"
    as_of: str = ""
    model: str = ""


class LeftOut(NamedTuple):
    """A line that gives no price of a whole GPU, and why."""

    where: str
    name: str
    why: str


class PriceList(NamedTuple):
    """All lines of a list: each is an offer or left out."""

    offers: list[Offer]
    left_out: list[LeftOut]


def csv_lines(content: bytes, source: str, columns: Iterable[str]) -> list[Record]:
    """Return the lines of a CSV list. Raises PriceBookError with the line where it cannot be read or lacks a column."""
    document = read_document(content, "csv", source, KIND)
    missing = [name for name in columns if name not in document.settings["columns"]]
    if missing:
        raise PriceBookError(
            f"{source}: line 1: no column {', '.join(missing)}",
            hint=f"it has {', '.join(document.settings['columns'])}: is --source right?",
        )
    return document.records


def json_object(content: bytes, source: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises PriceBookError with the line where there is none."""
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_float=str, parse_int=str)
    except json.JSONDecodeError as error:
        raise PriceBookError(f"{source}: line {error.lineno}: not JSON: {error.msg}", hint="is it cut off?") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise PriceBookError(f"{source}: not JSON text", hint="save the file as UTF-8") from error
    if not isinstance(found, dict):
        raise PriceBookError(f"{source}: no JSON object", hint="is --source right?")
    return found


def price_of(record: Record, key: str) -> Decimal:
    """Return a price that has to be there. Raises PriceBookError with the line."""
    price = decimal_field(record, key, 20, KIND)
    if price is None:
        raise PriceBookError(f"{record.where}: {key} is missing", hint="remove the line, or fill it in")
    if price > MAX_RATE:
        raise PriceBookError(f"{record.where}: {key} {price} is over {MAX_RATE} an hour", hint="is the column right?")
    return price


def count_of(record: Record, key: str) -> int:
    """Return a number of GPUs; 0 where it is not given. Raises PriceBookError with the line."""
    text = record.values.get(key, "0")
    if not (isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 4):
        raise PriceBookError(f'{record.where}: {key} "{text}" is not a number of GPUs', hint="is the column right?")
    return int(text)
