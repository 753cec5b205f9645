"""The table of rules: what a file may say, checked strictly, and compiled for use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, NamedTuple, Self

import msgspec

from agent.identity.redaction import names_a_secret
from agent.identity.templates import Template
from agent.identity.unpack import ENCODINGS, Unpack
from gpuledger.errors import ConfigError

FACT_KINDS: Final = {
    "env": "a variable that the process, or the nearest of its ancestors, was started with",
    "label": "a label of the pod",
    "annotation": "an annotation of the pod",
    "owner": "the name of the pod's nearest owner of one of these kinds (`Job|TrainJob`)",
    "owner_uid": "the UID of that owner",
    "owner_label": "a label in the pod's chain of owners, the top asked first",
    "owner_annotation": "an annotation there",
    "namespace_label": "a label of the pod's namespace",
    "namespace_annotation": "an annotation of the pod's namespace",
    "pod": "`namespace` or `name` of the pod",
    "container": "`id`, `name`, `image`, `namespace` or `runtime` of a container",
    "container_label": "a label of a container, as docker, podman or containerd keep it",
    "child": "the path of a file that a child process of that name has open, where its tool tells by that alone",
    "cgroup": "what the cgroup says: `slurm_job`, `slurm_sluid`, `slurm_step`, `slurm_task`, `pod_uid`, `container_id`",
}
COMMAND: Final = "command"
CHILD: Final = "child:"
_FIELDS: Final = {
    "pod": ("namespace", "name"),
    "container": ("id", "name", "image", "namespace", "runtime"),
    "cgroup": ("slurm_job", "slurm_sluid", "slurm_step", "slurm_task", "pod_uid", "container_id"),
}
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Texts = _Text | list[_Text]


class RuleSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[rules.<name>]` as it is written."""

    system: _Text
    scope: _Text
    level: _Text
    id: _Texts
    name: _Texts = []
    when: dict[str, _Text] = {}
    find: dict[str, _Text] = {}
    agree: dict[str, _Text] = {}
    note: str = ""
    enabled: bool = True


class ClaimSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[claims.<name>]` as it is written."""

    tier: _Text
    team: _Text
    when: dict[str, _Text] = {}
    note: str = ""
    enabled: bool = True


class UnpackSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[unpack.<variable>]` as it is written."""

    encoding: _Text
    fields: list[_Text]
    inside: str = ""
    file: str = ""


class TableSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole table. Only the built-in one has levels and tiers."""

    levels: list[str]
    context_levels: list[str]
    tiers: list[str]
    rules: dict[str, RuleSpec] = {}
    claims: dict[str, ClaimSpec] = {}
    unpack: dict[str, UnpackSpec] = {}


class Condition(NamedTuple):
    """`fact` must match the whole of `pattern`; of a command the pattern need only match a part."""

    fact: str
    pattern: re.Pattern[str]


class Rule(NamedTuple):
    """A rule, compiled. The first of `ids` that can be filled is the workload's id, likewise of `names` its name."""

    key: str
    system: Template
    scope: str
    level: str
    ids: tuple[Template, ...]
    names: tuple[Template, ...]
    when: tuple[Condition, ...]
    find: tuple[Condition, ...]
    agree: tuple[tuple[str, str], ...]
    note: str = ""
    context_only: bool = False
    of_process: bool = True  # False: all that it looks at is around a process, and the same for its ancestors

    @property
    def facts(self) -> tuple[str, ...]:
        """Return all that the rule looks at; `command` and the groups of its patterns are among it."""
        texts = (self.system, *self.ids, *self.names)
        conditions = (condition.fact for condition in (*self.when, *self.find))
        pairs = (fact for pair in self.agree for fact in pair)
        return (*conditions, *pairs, *(fact for text in texts for fact in text.facts))


class Claim(NamedTuple):
    """Where a team may be named; the first claim of the table that is met decides."""

    key: str
    tier: str
    team: Template
    when: tuple[Condition, ...]
    note: str = ""
    of_process: bool = True

    @property
    def facts(self) -> tuple[str, ...]:
        """Return all that the claim looks at, the groups of its patterns among it."""
        return (*(condition.fact for condition in self.when), *self.team.facts)


class RuleTable(NamedTuple):
    """Rules and claims in their order of precedence."""

    rules: tuple[Rule, ...]
    claims: tuple[Claim, ...]
    unpack: Mapping[str, Unpack]
    levels: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()

    def facts(self) -> frozenset[str]:
        """Return every fact that a rule or a claim looks at (`env:X`, `label:y`), commands aside."""
        entries: list[Rule | Claim] = [*self.rules, *self.claims]
        return frozenset(fact for entry in entries for fact in entry.facts if ":" in fact)

    def keys(self, kind: str) -> frozenset[str]:
        """Return the names that are looked at of one kind of fact."""
        return frozenset(key for fact in self.facts() for found, _, key in (fact.partition(":"),) if found == kind)


def compile_table(raw: Mapping[str, Any], sources: Mapping[str, str]) -> RuleTable:
    """Return the table that `raw` (merged TOML) describes; `sources` names the file of each of its entries.

    Raises ConfigError, which names the file and the entry, where something in it makes no sense.
    """
    try:
        spec = msgspec.convert(raw, TableSpec)
    except msgspec.ValidationError as error:
        raise _shape_error(str(error), sources) from error
    rules: list[Rule] = []
    claims: list[Claim] = []
    for key, rule in spec.rules.items():
        with _Entry(f"rules.{key}", sources) as entry:
            entry.must_be_one_of("level", rule.level, [*spec.levels, *spec.context_levels])
            if rule.enabled:
                rules.append(_rule(key, rule, spec.context_levels))
    for key, claim in spec.claims.items():
        with _Entry(f"claims.{key}", sources) as entry:
            entry.must_be_one_of("tier", claim.tier, spec.tiers)
            if claim.enabled:
                claims.append(_claim(key, claim))
    unpack: dict[str, Unpack] = {}
    for variable, unpack_spec in spec.unpack.items():
        with _Entry(f"unpack.{variable}", sources) as entry:
            entry.must_be_one_of("encoding", unpack_spec.encoding, ENCODINGS)
            unpack[variable] = Unpack(
                unpack_spec.encoding, tuple(unpack_spec.fields), unpack_spec.inside, unpack_spec.file
            )
    order = [*spec.levels, *spec.context_levels]
    return RuleTable(
        tuple(sorted(rules, key=lambda rule: order.index(rule.level))),
        tuple(sorted(claims, key=lambda claim: spec.tiers.index(claim.tier))),
        unpack,
        tuple(order),
        tuple(spec.tiers),
    )


def _rule(key: str, spec: RuleSpec, context_levels: list[str]) -> Rule:
    _check_name(key)
    rule = Rule(
        key,
        Template(spec.system),
        spec.scope,
        spec.level,
        _templates(spec.id),
        _templates(spec.name),
        _conditions(spec.when),
        _conditions(spec.find),
        tuple(spec.agree.items()),
        spec.note,
        spec.level in context_levels,
    )
    if not rule.when and any(not text.required for text in rule.ids):
        raise ValueError("an id that needs no fact, without `when`, would match every process")
    if any(fact.startswith(CHILD) for text in (rule.system, *rule.ids, *rule.names) for fact in text.facts):
        raise ValueError("a file of a child is matched by a pattern, and only what that captures is kept")
    _check_facts(rule.facts, _groups(rule.when) | _groups(rule.find))
    return rule._replace(of_process=_of_process(rule.facts))


def _claim(key: str, spec: ClaimSpec) -> Claim:
    _check_name(key)
    claim = Claim(key, spec.tier, Template(spec.team), _conditions(spec.when), spec.note)
    if not claim.team.required:
        raise ValueError("team names no fact: a claim says where a team is read")
    if any(condition.fact == COMMAND or condition.fact.startswith(CHILD) for condition in claim.when):
        raise ValueError("a claim is not read from a command line or a file")
    _check_facts(claim.facts, _groups(claim.when))
    return claim._replace(of_process=_of_process(claim.facts))


def _templates(texts: str | list[str]) -> tuple[Template, ...]:
    return tuple(Template(text) for text in ([texts] if isinstance(texts, str) else texts))


def _conditions(written: Mapping[str, str]) -> tuple[Condition, ...]:
    conditions = []
    for fact, pattern in written.items():
        try:
            conditions.append(Condition(fact, re.compile(pattern)))
        except re.error as error:
            raise ValueError(f"{fact}: {pattern!r} is not a regular expression ({error})") from error
    return tuple(conditions)


def _of_process(facts: Iterable[str]) -> bool:
    return any(fact == COMMAND or fact.startswith(("env:", CHILD)) for fact in facts)


def _groups(conditions: Iterable[Condition]) -> set[str]:
    return {group for condition in conditions for group in condition.pattern.groupindex}


def _check_facts(facts: Iterable[str], groups: set[str]) -> None:
    for fact in facts:
        kind, colon, key = fact.partition(":")
        if not colon:
            if kind != COMMAND and kind not in groups:
                raise ValueError(f"{{{kind}}} is neither a fact nor a group of a pattern here{_near(kind, groups)}")
        elif kind not in FACT_KINDS:
            raise ValueError(f'there is no kind of fact "{kind}"{_near(kind, FACT_KINDS)}')
        elif not key or (kind in _FIELDS and key not in _FIELDS[kind]):
            raise ValueError(f"{fact} names nothing{_near(key, _FIELDS.get(kind, ()))}")
        elif kind == "env" and names_a_secret(key.partition(".")[0]):
            raise ValueError(f"{key} may hold a secret: no rule may read it")


def _check_name(key: str) -> None:
    if not _NAME.fullmatch(key):
        raise ValueError("names are made of small letters, digits and single hyphens")


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


class _Entry:
    """Turns what is wrong within one entry into an error that names the entry and its file."""

    def __init__(self, name: str, sources: Mapping[str, str]) -> None:
        self._name = name
        self._sources = sources

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ValueError):
            source = self._sources.get(self._name, "the table")
            raise ConfigError(
                f"[{self._name}] in {source}: {error}", hint="docs/reference/identity.md tells how rules are written"
            ) from error

    def must_be_one_of(self, field: str, value: str, known: Iterable[str]) -> None:
        if value not in known:
            raise ValueError(f'{field} "{value}" is none of {", ".join(known)}{_near(value, known)}')


def _shape_error(message: str, sources: Mapping[str, str]) -> ConfigError:
    """Return the error for a value of the wrong type or an unknown key; msgspec tells where as `$.rules[...].x`."""
    reason, _, where = message.partition(" - at `$.")
    place = where.rstrip("`")
    files = sorted(set(sources.values()))
    hint = "docs/reference/identity.md tells how rules are written"
    return ConfigError(f"{place or 'the table'} in {', '.join(files)}: {reason[:1].lower()}{reason[1:]}", hint=hint)
