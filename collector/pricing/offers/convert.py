"""A published price list made into a draft of a price book (TOML), which a person reviews before it is imported.

For each model the draft has one entry: the price of one GPU in the machine with the most GPUs, since that is the least
diluted by processors and memory; of several such the cheapest. The other machines stand beside it as comments. Whatever
gave no price is listed at the end with its reason, so that every line of the list is somewhere.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Final, NamedTuple

from collector.pricing.fields import currency_code
from collector.pricing.files import parse_price_book
from collector.pricing.offers.models import ModelRule, built_in_rules, first_rule
from collector.pricing.offers.offer import KIND, LeftOut, Offer, PriceList, Pricing
from collector.pricing.offers.shapes import SHAPES
from gpuledger.accounting.money import QUANTA_PER_UNIT, from_quanta
from gpuledger.accounting.terms import plain
from gpuledger.errors import PriceBookError

_EXAMPLES: Final = 5


class Wanted(NamedTuple):
    """What to take of a list: of which region (empty: its only one), and how it is sold."""

    source: str
    region: str = ""
    pricing: Pricing = "on_demand"
    currency: str = ""  # empty: what the list says


class Draft(NamedTuple):
    """A price book to review, and what became of the list's prices: all of them are counted."""

    text: str
    entries: int
    others: int  # of a model that has an entry from another machine
    left_out: list[LeftOut]
    elsewhere: int  # of another region, or sold another way
    warnings: list[str]


class _Priced(NamedTuple):
    offer: Offer
    gpus: int

    @property
    def quanta(self) -> int:
        """Return the price of one GPU, rounded half to even once."""
        return round(Fraction(self.offer.price) / self.gpus * QUANTA_PER_UNIT)

    @property
    def order(self) -> tuple[int, int, str]:
        return (-self.gpus, self.quanta, self.offer.instance)


def convert(content: bytes, name: str, wanted: Wanted, rules: list[ModelRule] | None = None) -> Draft:
    """Return the draft of a price book; `rules` are tried before those of the package.

    Raises PriceBookError where the list cannot be read, has several regions and none is asked for, or prices no GPU.
    """
    listed = _read(content, name, wanted)
    chosen, region = _of_region(listed, name, wanted)
    own = rules or []
    table = [*own, *built_in_rules()]
    used: Counter[int] = Counter()
    left_out = list(listed.left_out)
    by_model: defaultdict[str, list[_Priced]] = defaultdict(list)
    for offer in chosen:
        number = first_rule(table, wanted.source, offer)
        rule = None if number is None else table[number]
        if number is not None:
            used[number] += 1
        found = _model(offer, rule)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            by_model[found[0]].append(_Priced(offer, found[1]))
    if not by_model:
        reasons = "; ".join(f"{item.where}: {item.name}: {item.why}" for item in left_out[:_EXAMPLES])
        raise PriceBookError(
            f"{name}: no price of a GPU that has a name in NVML. {reasons}".rstrip(),
            hint="map its names with --map FILE: [[gpu]] with gpu or instance, and model",
        )
    warnings = [f"{rule.where}: the rule matched nothing" for number, rule in enumerate(own) if not used[number]]
    warnings += [
        f"{own[number].where}: the rule matched every offer" for number in range(len(own)) if _all(used, number)
    ]
    text = _book(_head(name, wanted, region, _currency(chosen, name, wanted)), by_model, left_out)
    parse_price_book(text.encode(), "toml", f"the draft of {name}")  # what cannot be imported is not handed out
    priced = sum(len(offers) for offers in by_model.values())
    elsewhere = len(listed.offers) - len(chosen)
    return Draft(text, len(by_model), priced - len(by_model), left_out, elsewhere, warnings)


def _read(content: bytes, name: str, wanted: Wanted) -> PriceList:
    parse = SHAPES.get(wanted.source)
    if parse is None:
        raise PriceBookError(
            f'"{wanted.source}" is no source of prices', hint=f"known are {', '.join(SHAPES)}: docs/guides/prices.md"
        )
    return parse(content, name)


def _of_region(listed: PriceList, name: str, wanted: Wanted) -> tuple[list[Offer], str]:
    regions = sorted({offer.region for offer in listed.offers})
    region = wanted.region or (regions[0] if len(regions) == 1 else "")
    if (len(regions) > 1 and not wanted.region) or (wanted.region and wanted.region not in regions):
        asked = f'has no region "{wanted.region}"' if wanted.region else f"has {len(regions)} regions"
        raise PriceBookError(f"{name} {asked}", hint=f"name one with --region: {', '.join(filter(None, regions))}")
    offers = [offer for offer in listed.offers if offer.region == region and offer.pricing == wanted.pricing]
    if not offers and listed.offers:
        raise PriceBookError(
            f"{name} has nothing that is sold as {wanted.pricing}", hint="ask for another with --pricing or --region"
        )
    return offers, region


def _model(offer: Offer, rule: ModelRule | None) -> tuple[str, int] | LeftOut:
    name = " ".join(filter(None, (offer.instance, offer.gpu)))
    if rule is not None and rule.not_priced:
        return LeftOut(offer.where, name, rule.not_priced)
    model = rule.model if rule else offer.model
    if not model:
        return LeftOut(offer.where, name, "no rule maps it to a name of NVML")
    gpus = rule.gpus if rule and rule.gpus else offer.gpus
    if gpus is None:
        return LeftOut(offer.where, name, "nothing says how many GPUs it has")
    return model, gpus


def _all(used: Counter[int], number: int) -> bool:
    return used.total() > 1 and used[number] == used.total()


def _currency(offers: list[Offer], name: str, wanted: Wanted) -> str:
    stated = sorted({offer.currency for offer in offers})
    if not wanted.currency and len(stated) > 1:
        raise PriceBookError(f"{name} has prices in {' and '.join(stated)}", hint="split it by currency")
    return currency_code(wanted.currency or stated[0], f"{name}: currency", KIND)


def _head(name: str, wanted: Wanted, region: str, currency: str) -> list[str]:
    listed = ", ".join(filter(None, (wanted.source, region and f"region {region}", wanted.pricing.replace("_", " "))))
    return [
        f"# Draft of a price book from {name} ({listed}).",
        "# Review it, then import it: gpuledger price import. Rates are whole machines' prices by their GPUs, so that",
        "# processors, memory and disks are in them.",
        f'currency = "{currency}"',
    ]


def _book(head: list[str], by_model: dict[str, list[_Priced]], left_out: list[LeftOut]) -> str:
    lines = list(head)
    for model in sorted(by_model):
        best, *others = sorted(by_model[model], key=lambda item: item.order)
        lines += ["", "[[price]]", f"# {_words(best)}", f"model = {json.dumps(model, ensure_ascii=False)}"]
        lines += [f'rate = "{_rate(best)}"', *(f"# or {_rate(item)}: {_words(item)}" for item in others)]
    if left_out:
        lines += ["", f"# Not priced ({len(left_out)}):"]
        lines += [f"# {item.where}: {item.name}: {item.why}" for item in left_out]
    return "\n".join([*lines, ""])


def _words(item: _Priced) -> str:
    offer = item.offer
    day = f", as of {offer.as_of}" if offer.as_of else ""
    return f"{offer.instance or offer.gpu}: {item.gpus} GPUs for {plain(offer.price)} an hour{day} ({offer.where})"


def _rate(item: _Priced) -> str:
    rate = from_quanta(item.quanta)
    return plain(rate) if rate else "0"
