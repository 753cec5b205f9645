"""From what is known of a process to its workload, the workloads around it, and the team that is claimed for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from agent.holders.cgroup import parse_identity
from agent.holders.processes import ProcessFacts
from agent.identity.facts import ContainerFacts, PodMetadata
from agent.identity.layers import Layer, Surroundings
from agent.identity.rulebook import RuleBook
from agent.identity.table import CHILD, COMMAND, Claim, Condition, Rule
from agent.identity.templates import Template
from gpuledger.model import Holder, Workload

OF_ANCESTOR: Final = "@ancestor"


class Identity(NamedTuple):
    """What a process runs and who is said to pay for it.

    `workload` is the most specific one that a rule found, `context` are the others, from the inside out. The sources
    name the facts that decided: `env:MLFLOW_RUN_ID`, `label:team`, `command`; `@ancestor` where an ancestor had it.
    """

    workload: Workload | None = None
    context: tuple[Workload, ...] = ()
    team_claim: str = ""
    team_source: str = ""
    workload_source: str = ""
    rule: str = ""

    def labels(self) -> dict[str, str]:
        """Return what a holder has no field for: by which fact its workload was found, and the workloads around it."""
        context = "; ".join(":".join(filter(None, (one.system, one.scope, one.id))) for one in self.context)
        found = {"workload_source": self.workload_source, "workload_context": context}
        return {key: text for key, text in found.items() if text}


NOTHING_FOUND: Final = Identity()


def described(holder: Holder, found: Identity) -> Holder:
    """Return a holder that a scheduler named, with the identity that was found for its pod or container."""
    return msgspec.structs.replace(
        holder,
        workload=found.workload,
        team_claim=found.team_claim,
        team_source=found.team_source,
        labels={**holder.labels, **found.labels()},
    )


class _Found(NamedTuple):
    rule: Rule
    workload: Workload
    source: str


class Identifier:
    """Applies the rules in force. It knows no tool; the table does."""

    def __init__(self, rules: RuleBook | None = None) -> None:
        self._rules = rules or RuleBook()

    def refresh(self) -> bool:
        """Read the site's rules again if their files changed; return whether the rules did."""
        return self._rules.refresh()

    def failures(self) -> dict[str, int]:
        """Return how many edits of the rules could not be used, and how many values looked like secrets."""
        return {"rules_rejected": self._rules.rejected, "secret_dropped": self._rules.vocabulary.dropped}

    def label_patterns(self) -> frozenset[str]:
        """Return the labels of pods, owners and namespaces that rules look at."""
        return self._rules.label_patterns()

    def annotation_patterns(self) -> frozenset[str]:
        """Return the annotations of pods, owners and namespaces that rules look at."""
        return self._rules.annotation_patterns()

    def identify(
        self,
        process: ProcessFacts | None,
        ancestors: Sequence[ProcessFacts] = (),
        pod: PodMetadata | None = None,
        container: ContainerFacts | None = None,
    ) -> Identity:
        """Return the identity of a process; of a pod or container alone where there is no process.

        `ancestors` begin with the parent and stay within the process's tenancy.
        """
        around = Surroundings(pod, container, parse_identity(process.cgroup if process else ""))
        telling = [facts for facts in ancestors if facts.environ or facts.captured]
        layers = [Layer(around, facts) for facts in (process, *telling)]
        found = list(self._workloads(layers))
        main = next((one for one in found if not one.rule.context_only), None)
        team, source = self._team(layers)
        return Identity(
            workload=main.workload if main else None,
            context=tuple(one.workload for one in found if one is not main),
            team_claim=team,
            team_source=source,
            workload_source=main.source if main else "",
            rule=main.rule.key if main else "",
        )

    def _workloads(self, layers: Sequence[Layer]) -> Iterator[_Found]:
        """Yield what the rules find, most specific first; of rules for the same kind of thing only the first one's."""
        seen: set[tuple[str, str]] = set()
        for rule in self._rules.table.rules:
            found = _apply(rule, layers)
            if found is not None and (kind := (found.workload.system, found.workload.scope)) not in seen:
                seen.add(kind)
                yield found

    def _team(self, layers: Sequence[Layer]) -> tuple[str, str]:
        for claim in self._rules.table.claims:
            for depth, layer in enumerate(layers if claim.of_process else layers[:1]):
                team = _claimed(claim, layer)
                if team:
                    return team, _source(claim.team, claim.when, depth)
        return "", ""


def _apply(rule: Rule, layers: Sequence[Layer]) -> _Found | None:
    for depth, layer in enumerate(layers if rule.of_process else layers[:1]):
        captured = layer.required(rule)
        if captured is None or not layer.agrees(rule):
            continue
        captured = {**layer.wanted(rule), **captured}
        template, identifier = _first(rule.ids, layer, captured)
        if template is not None:
            system = _filled(rule.system, layer, captured)
            workload = Workload(system, rule.scope, identifier, _name(rule, layers[depth:]))
            return _Found(rule, workload, _source(template, (*rule.when, *rule.find), depth))
    return None


def _name(rule: Rule, layers: Sequence[Layer]) -> str:
    """Return the first name that the process, or else one around it, can fill."""
    captured: dict[str, str] = {}
    for layer in layers:
        captured = {**layer.wanted(rule), **(layer.required(rule) or {}), **captured}
        _, name = _first(rule.names, layer, captured)
        if name:
            return name
    return ""


def _first(templates: Sequence[Template], layer: Layer, captured: dict[str, str]) -> tuple[Template | None, str]:
    for template in templates:
        text = _filled(template, layer, captured)
        if text:
            return template, text
    return None, ""


def _filled(template: Template, layer: Layer, captured: dict[str, str]) -> str:
    return template.fill(lambda fact: layer.get(fact) if ":" in fact else captured.get(fact, ""))


def _claimed(claim: Claim, layer: Layer) -> str:
    captured: dict[str, str] = {}
    for condition in claim.when:
        found = layer.captures(condition, "")
        if found is None:
            return ""
        captured.update(found)
    return _filled(claim.team, layer, captured)


def _source(template: Template, conditions: Sequence[Condition], depth: int) -> str:
    """Return the fact that decided: the first that the text needs, or what the pattern that captured it looked at."""
    facts = [_origin(fact, conditions) for fact in template.required]
    fact = next((fact for fact in facts if not fact.startswith("pod:")), "")
    return f"{fact}{OF_ANCESTOR}" if depth and fact.startswith(("env:", COMMAND, CHILD)) else fact


def _origin(fact: str, conditions: Sequence[Condition]) -> str:
    if ":" in fact:
        return fact
    return next(condition.fact for condition in conditions if fact in condition.pattern.groupindex)
