"""Answers schedulers from memory: reads the ask, finds the owner, asks the gate, and notes what was said.

Everything here runs on the event loop and touches no file, no database and no lock that somebody holds for long.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from collector.config import AdmissionSettings
from collector.enforcement.asks import Ask
from collector.enforcement.by_rules import decide, ruling_of
from collector.enforcement.exceptions import excused
from collector.enforcement.figures import Figures
from collector.enforcement.gate import (
    Answer,
    Judgement,
    Mode,
    Result,
    Ruling,
    answer_in,
    combine,
    owner_path,
    strictest,
    strictness,
)
from collector.enforcement.pods import Gpus
from collector.enforcement.promises import Promises
from collector.enforcement.records import Record
from collector.enforcement.reviews import answer, ask_of, may_ask, parse_review
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import Clock
from gpuledger.errors import AdmissionError

REMEMBERED: Final = 20_000  # answers by uid: the same request asked again is answered the same, and kept once
NO_GPUS: Final = "no_gpus"
UNSURE: Final = "unsure"


class Keeping(Protocol):
    """Where records go."""

    def add(self, record: Record) -> None:
        """Keep one; never wait."""
        ...


class Observing(Protocol):
    """What is counted of answers."""

    def admission_answered(self, source: str, result: str, duration_s: float) -> None:
        """Count one answer."""
        ...


class Told(NamedTuple):
    """An answer as it was given, and what it counts as."""

    answer: Answer
    counted: str


class Gatekeeper:
    """Answers for one collector. `figures` is replaced from outside as a whole; None: there are none yet."""

    def __init__(self, settings: AdmissionSettings, clock: Clock, records: Keeping, observing: Observing) -> None:
        self.settings = settings
        self.mode = Mode(settings.mode)
        self.figures: Figures | None = None
        self._clock = clock
        self._records = records
        self._observing = observing
        self._promises = Promises(settings.promise_s * US_PER_SECOND)
        self._told: OrderedDict[tuple[str, str], Answer] = OrderedDict()

    @property
    def profiles(self) -> Mapping[str, int]:
        """Return the sizes of MIG profiles, as far as they are known."""
        return self.figures.profiles if self.figures else {}

    def review(self, body: bytes, cluster: str = "") -> bytes:
        """Return the AdmissionReview that answers `body`. Raises AdmissionError where it is none that has an answer."""
        started_s = time.perf_counter()
        request = parse_review(body)
        if self.mode is Mode.OFF or not may_ask(request):
            self._observing.admission_answered("kubernetes", NO_GPUS, time.perf_counter() - started_s)
            return answer(request.uid, allowed=True)
        try:
            ask = ask_of(request, cluster or self.settings.cluster, self.profiles)
        except AdmissionError as error:
            told = self._doubt(f"{request.kind.kind[:80]} {request.name[:253]} cannot be read: {error.message}")
        else:
            told = self._answer(ask)
        self._observing.admission_answered("kubernetes", told.counted, time.perf_counter() - started_s)
        found = told.answer
        return answer(request.uid, allowed=found.result is Result.ALLOW, message=found.message, warnings=found.warnings)

    def job(self, ask: Ask) -> Answer:
        """Return what a scheduler other than Kubernetes is told."""
        started_s = time.perf_counter()
        told = Told(Answer(Result.ALLOW, "", ()), NO_GPUS) if self.mode is Mode.OFF else self._answer(ask)
        self._observing.admission_answered(ask.source, told.counted, time.perf_counter() - started_s)
        return told.answer

    def _answer(self, ask: Ask) -> Told:
        if not ask.gpus:
            return Told(Answer(Result.ALLOW, "", tuple(f"gpuledger: {note}" for note in ask.notes)), NO_GPUS)
        key = ask.source, ask.uid
        if key in self._told:
            return Told(self._told[key], "repeated")
        now_us = self._clock.now_us()
        figures = self._fresh(now_us)
        if isinstance(figures, str):
            told = self._doubt(f"{ask.what}: {figures}")
            self._note(ask, Judgement(Ruling(Result.ALLOW, reasons=(figures,)), None), told, now_us)
        else:
            found = self._strictest(ask, figures, now_us)
            told = Told(answer_in(self.mode, ask, found), found.ruling.result.value)
            self._promise(ask, found, told, now_us)
            self._note(ask, found, told, now_us)
        if not ask.dry_run and ask.uid:
            self._told[key] = told.answer
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        return told

    def _strictest(self, ask: Ask, figures: Figures, now_us: int) -> Judgement:
        """Return what is decided of an ask whatever becomes of it: with several partitions by the strictest of them."""
        ways = (ask, *(ask._replace(attributes=each) for each in ask.otherwise))
        return max((self._judge(each, figures, now_us) for each in ways), key=strictness)

    def _judge(self, ask: Ask, figures: Figures, now_us: int) -> Judgement:
        """Return what is decided of an ask: its parts of each model by themselves, and the strictest counts."""
        found = figures.owners.resolve(ask.attributes, now_us)
        owner = found.owner if found else None
        standing = dict(self._promises.standing(now_us))
        rulings: list[Ruling] = []
        shadowed: list[Ruling] = []
        for each in ask.gpus:
            gpus = each._replace(model=figures.models.get(each.model, each.model))
            promised = standing.get((owner, gpus.model), 0) if owner else 0
            asked = gpus._replace(parts=gpus.parts + promised)
            limited = figures.limits(owner, gpus.model, asked.parts, now_us, standing)
            known = figures.known(owner, gpus.model, standing) if figures.rules.rules else {}
            decision = decide(figures.rules, ask, owner, gpus, known=known, at_us=now_us, zone=figures.zone)
            for outcome, heard in ((decision.outcome, rulings), (decision.shadow, shadowed)):
                held = combine(ruling_of(outcome), limited)
                heard.append(excused(held, figures.effects, owner, asked, now_us))
            if owner:  # what is asked for together is wanted together
                standing[owner, gpus.model] = asked.parts
        return Judgement(strictest(rulings), owner, _if_other(strictest(shadowed), strictest(rulings)))

    def _fresh(self, now_us: int) -> Figures | str:
        """Return the figures, or why they are none to decide by."""
        if self.figures is None:
            return "the budgets have not been read yet"
        age_s = (now_us - self.figures.made_us) // US_PER_SECOND
        if age_s > self.settings.stale_after_s:
            return f"the budgets were read {age_s} seconds ago, and {self.settings.stale_after_s} is the most"
        return self.figures

    def _doubt(self, why: str) -> Told:
        """Return the answer where nobody can tell: what the settings say of doubt; a shadow never refuses."""
        if self.mode is Mode.ENFORCE and self.settings.on_doubt == "refuse":
            words = f"gpuledger: refused because it cannot be decided: {why}. See the collector's log and /metrics"
            return Told(Answer(Result.REFUSE, words, ()), UNSURE)
        return Told(Answer(Result.ALLOW, "", (f"gpuledger: allowed undecided: {why}",)), UNSURE)

    def _promise(self, ask: Ask, found: Judgement, told: Told, now_us: int) -> None:
        if ask.takes and not ask.dry_run and found.owner and told.answer.result is Result.ALLOW and self.figures:
            for each in ask.gpus:
                model = self.figures.models.get(each.model, each.model)
                self._promises.add(now_us, found.owner, model, each.parts)

    def _note(self, ask: Ask, found: Judgement, told: Told, now_us: int) -> None:
        if ask.dry_run:
            return
        self._records.add(
            Record(
                at_us=now_us,
                source=ask.source,
                cluster=ask.cluster,
                uid=ask.uid,
                operation=ask.operation,
                kind=ask.kind,
                namespace=ask.namespace,
                name=ask.name,
                user_name=ask.user,
                owner=owner_path(found.owner),
                models=", ".join(dict.fromkeys(_named(each) for each in ask.gpus)),
                parts=ask.parts,
                mode=self.mode.value,
                result=told.counted,
                answered=told.answer.result.value,
                rule=found.ruling.rule,
                reasons="; ".join(found.ruling.reasons),
                times=1,
                series=ask.series,
            )
        )


def _if_other(shadowed: Ruling, ruling: Ruling) -> Ruling | None:
    return None if shadowed.result is ruling.result else shadowed


def _named(gpus: Gpus) -> str:
    return f"{gpus.model or 'any model'} {gpus.mig_profile}".strip()
