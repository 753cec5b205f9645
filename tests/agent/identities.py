"""Processes, pods and containers for tests of identity, given in one line each."""

from __future__ import annotations

from agent.holders.processes import ProcessFacts
from agent.identity.facts import ContainerFacts, PodMetadata, PodOwner
from agent.identity.identify import Identifier, Identity
from agent.identity.rulebook import RuleBook
from agent.identity.vocabulary import Vocabulary
from tests.agent.nodes import process

BOOK = RuleBook()


def started(*command: str, cgroup: str = "0::/\n", pid: int = 2, **environ: str) -> ProcessFacts:
    """Return a process as our reader would keep it: of its variables and its command line only what is allowed."""
    vocabulary = BOOK.vocabulary
    block = b"\0".join(f"{name}={value}".encode() for name, value in environ.items())
    line = b"\0".join(word.encode() for word in command)
    return process(
        pid, cgroup, environ=vocabulary.read_environ(block), captured=vocabulary.read_command(line), comm="python"
    )


def owner(kind: str, name: str, uid: str = "", **labels: str) -> PodOwner:
    return PodOwner("v1", kind, name, uid, labels)


def pod(
    *owners: PodOwner, annotations: dict[str, str] | None = None, namespace: str = "ns", **labels: str
) -> PodMetadata:
    return PodMetadata(labels, annotations or {}, owners, namespace, "pod-0")


def identify(
    given: ProcessFacts | PodMetadata | ContainerFacts, *ancestors: ProcessFacts, inside: PodMetadata | None = None
) -> Identity:
    """Return the identity of a process, of a pod whose process tells nothing, or of a container likewise."""
    identifier = Identifier(BOOK)
    if isinstance(given, ProcessFacts):
        return identifier.identify(given, ancestors, inside)
    if isinstance(given, PodMetadata):
        return identifier.identify(started("python", "train.py"), (), given)
    return identifier.identify(started("python", "train.py"), (), None, given)


def fresh_vocabulary() -> Vocabulary:
    return Vocabulary(BOOK.table)
