"""The shapes of price lists that can be converted, by the name that `--source` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from collector.pricing.offers import aws, azure, gcp, opencost_csv, opencost_json, skypilot
from collector.pricing.offers.offer import PriceList

SHAPES: Final[dict[str, Callable[[bytes, str], PriceList]]] = {
    "aws": aws.parse,
    "azure": azure.parse,
    "gcp": gcp.parse,
    "skypilot": skypilot.parse,
    "opencost-csv": opencost_csv.parse,
    "opencost-json": opencost_json.parse,
}
