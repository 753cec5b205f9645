"""Which GPU a price list means: its names and machine types mapped to NVML's names by an ordered table of patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from collector.pricing.fields import MAX_MODEL, text_field
from collector.pricing.offers.offer import Offer
from collector.pricing.records import FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.globs import matches
from gpuledger.errors import PriceBookError

BUILT_IN: Final = Path(__file__).with_name("models.toml")
KEYS: Final = ("source", "gpu", "instance", "model", "gpus", "not_priced")
MAX_GPUS: Final = 256
_KIND: Final = FileKind(
    "rule",
    "gpu",
    PriceBookError,
    'a rule says what it is for and what that is: [[gpu]] instance = "p4d.*", model = "NVIDIA A100-SXM4-40GB"',
)


class ModelRule(NamedTuple):
    """For offers of `source` whose GPU and instance match the patterns (empty: any): what the GPU is to NVML.

    `gpus` says how many a machine has where the list does not; `not_priced` says why an offer is no price of a GPU.
    """

    where: str
    source: str
    gpu: str
    instance: str
    model: str
    gpus: int | None
    not_priced: str

    def speaks_of(self, source: str, offer: Offer) -> bool:
        """Return whether the rule is for an offer of `source`; names are compared without regard to case."""
        return self.source in {"", source} and all(
            not pattern or matches(pattern.lower(), name.lower())
            for pattern, name in ((self.gpu, offer.gpu), (self.instance, offer.instance))
        )


def built_in_rules() -> list[ModelRule]:
    """Return the table that the package comes with."""
    return parse_rules(BUILT_IN.read_bytes(), BUILT_IN.name)


def parse_rules(content: bytes, source: str) -> list[ModelRule]:
    """Return the rules of a table in its order. Raises PriceBookError that names the entry and the next step."""
    document = read_document(content, "toml", source, _KIND)
    refuse_unknown(document.settings, ("gpu",), source, _KIND)
    return [_rule(record) for record in document.records]


def first_rule(rules: list[ModelRule], source: str, offer: Offer) -> int | None:
    """Return the place of the first rule that speaks of an offer; None where none does."""
    return next((number for number, rule in enumerate(rules) if rule.speaks_of(source, offer)), None)


def _rule(record: Record) -> ModelRule:
    refuse_unknown(record.values, KEYS, record.where, _KIND)
    gpu, instance, model, not_priced = (
        text_field(record, key, _KIND, most=MAX_MODEL) for key in ("gpu", "instance", "model", "not_priced")
    )
    if not gpu and not instance:
        raise PriceBookError(
            f"{record.where}: gpu and instance are missing: it would match everything", hint=_KIND.example
        )
    if bool(model) == bool(not_priced):
        raise PriceBookError(f"{record.where}: needs either model or not_priced", hint=_KIND.example)
    gpus = record.values.get("gpus")
    if gpus is not None and (isinstance(gpus, bool) or not isinstance(gpus, int) or not 1 <= gpus <= MAX_GPUS):
        raise PriceBookError(f"{record.where}: gpus {gpus!r} is not a number of GPUs", hint="write gpus = 8")
    return ModelRule(record.where, text_field(record, "source", _KIND), gpu, instance, model, gpus, not_priced)
