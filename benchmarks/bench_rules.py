"""Rules: a decision about a workload by a book of many rules, with its reasons, against the same tests in plain Python.

The baseline asks the same of the same facts and gives no reason: what it costs that every decision explains itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from gpuledger.accounting.globs import matches
from gpuledger.rules.facts import Facts, make_facts
from gpuledger.rules.files import parse_rule_book

RULES: Final = 100
TIMES: Final = 500
RULE: Final = """
[[rule]]
name = "rule {number}"
filter = {{ kind = "workload", owner = "acme/department-{number}" }}
when.any = [{{ gpus = {{ over = 8 }} }}, {{ model = "NVIDIA H100*" }}]
action = "hold"
"""


def _plain(facts: Facts) -> int:
    """Return the place of the rule that decides, as a hand-written function would find it."""
    owner, gpus, model = str(facts["owner"]).split("/"), facts["gpus"], str(facts["model"])
    assert isinstance(gpus, Decimal)
    for number in range(RULES):
        named = facts["kind"] == "workload" and owner[:2] == ["acme", f"department-{number}"]
        if named and (gpus > 8 or matches("NVIDIA H100*", model)):
            return number + 1
    return 0


def _best_us(work: Callable[[], object]) -> float:
    best_s = float("inf")
    for _ in range(5):
        begun_s = time.perf_counter()
        for _ in range(TIMES):
            work()
        best_s = min(best_s, time.perf_counter() - begun_s)
    return best_s / TIMES * 1e6


def main() -> None:
    """Print both for a workload that the last rule decides about."""
    text = "".join(RULE.format(number=number) for number in range(RULES))
    book = parse_rule_book(text.encode(), "rules.toml")
    owner = f"acme/department-{RULES - 1}/team"
    facts = make_facts({"kind": "workload", "owner": owner, "gpus": 16, "model": "NVIDIA H100 80GB HBM3"})
    assert book.decide(facts, 0).outcome.place == _plain(facts) == RULES
    decided_us, plain_us = _best_us(lambda: book.decide(facts, 0)), _best_us(lambda: _plain(facts))
    print(
        f"{RULES} rules: {decided_us:,.0f} µs a decision with its reasons, {decided_us / plain_us:.0f} times plain code"
    )


if __name__ == "__main__":
    main()
