"""What a rule may look at: the pod and container around a process, the process, and its ancestors layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agent.holders.cgroup import CgroupIdentity
from agent.holders.processes import ProcessFacts
from agent.identity.facts import ContainerFacts, PodMetadata, PodOwner
from agent.identity.table import CHILD, COMMAND, Condition, Rule
from agent.identity.vocabulary import capture_key

_NO_POD: Final = PodMetadata()
_NO_CONTAINER: Final = ContainerFacts("")
_NO_CAPTURES: Final[Mapping[str, str]] = {}


class Surroundings:
    """Facts that are the same for every process of a container."""

    def __init__(self, pod: PodMetadata | None, container: ContainerFacts | None, cgroup: CgroupIdentity) -> None:
        self._pod = pod or _NO_POD
        self._container = container or _NO_CONTAINER
        self._cgroup = cgroup
        self._lookups: dict[str, Callable[[str], str]] = {
            "label": lambda key: self._pod.labels.get(key, ""),
            "annotation": lambda key: self._pod.annotations.get(key, ""),
            "namespace_label": lambda key: self._pod.namespace_labels.get(key, ""),
            "namespace_annotation": lambda key: self._pod.namespace_annotations.get(key, ""),
            "owner": lambda kinds: self._owner(kinds).name,
            "owner_uid": lambda kinds: self._owner(kinds).uid,
            "owner_label": lambda key: self._from_owners(lambda owner: owner.labels.get(key, "")),
            "owner_annotation": lambda key: self._from_owners(lambda owner: owner.annotations.get(key, "")),
            "pod": lambda key: str(getattr(self._pod, key)),
            "container": lambda key: str(getattr(self._container, key)),
            "container_label": lambda key: self._container.labels.get(key, ""),
            "cgroup": lambda key: str(getattr(self._cgroup, key)),
        }

    def get(self, fact: str) -> str:
        """Return a fact such as `label:team`, or an empty string where it is not known."""
        kind, _, key = fact.partition(":")
        return self._lookups[kind](key)

    def _owner(self, kinds: str) -> PodOwner:
        wanted = kinds.split("|")
        return next((owner for owner in self._pod.owners if owner.kind in wanted), PodOwner("", "", ""))

    def _from_owners(self, read: Callable[[PodOwner], str]) -> str:
        return next((value for owner in reversed(self._pod.owners) if (value := read(owner))), "")


class Layer:
    """One process, and everything around it. Without a process only what is around it is known."""

    def __init__(self, around: Surroundings, process: ProcessFacts | None) -> None:
        self._around = around
        self._environ = process.environ if process else _NO_CAPTURES
        self._captured = process.captured if process else {}

    def get(self, fact: str) -> str:
        """Return a fact, or an empty string where it is not known."""
        if fact.startswith("env:"):
            return self._environ.get(fact[4:], "")
        return self._around.get(fact)

    def agrees(self, rule: Rule) -> bool:
        """Return whether facts that must be the same are, where both are known."""
        return all(not (a := self.get(one)) or not (b := self.get(other)) or a == b for one, other in rule.agree)

    def required(self, rule: Rule) -> dict[str, str] | None:
        """Return what the rule's conditions capture, or None where one of them is not met."""
        captured: dict[str, str] = {}
        for condition in rule.when:
            found = self.captures(condition, capture_key(rule.key, condition.fact, required=True))
            if found is None:
                return None
            captured.update(found)
        return captured

    def wanted(self, rule: Rule) -> dict[str, str]:
        """Return what the rule's optional patterns capture."""
        captured: dict[str, str] = {}
        for condition in rule.find:
            found = self.captures(condition, capture_key(rule.key, condition.fact, required=False))
            captured.update(found or _NO_CAPTURES)
        return captured

    def captures(self, condition: Condition, key: str) -> Mapping[str, str] | None:
        """Return the named groups of a condition that is met, or None. What is not kept was matched when read."""
        if condition.fact == COMMAND or condition.fact.startswith(CHILD):
            return self._captured.get(key)
        match = condition.pattern.fullmatch(self.get(condition.fact))
        return None if match is None else match.groupdict(default="")
