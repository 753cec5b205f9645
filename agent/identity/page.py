"""The reference page of the rules, docs/reference/identity.md, made from the table itself: run this module."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from agent.identity.rulebook import built_in
from agent.identity.table import FACT_KINDS, Claim, Condition, Rule, RuleTable

_HEAD = """# How a workload is recognised

This page is made from `agent/identity/rules.toml`; a test holds it in step.

A process on a GPU is told by what its tool left on it: variables that it was *started* with, its command line, the
labels, annotations and owners of its pod, the labels of its container. Of all rules that match, the most specific
**level** bills: {levels}. Within a level the order below decides. The others are kept as context (label
`workload_context`), in the same order; `workload_source` names the fact that decided. {context} are context only.

A rule looks at the process first, then at its ancestors within the same pod, container, job or login, nearest first:
tools mark what they start, and what that starts often lacks the mark. `@ancestor` in a source says so. An environment
that was overwritten by a title (state `wiped`) is not an empty one: what was read before stays known, else an
ancestor or the command line tells. Values that may be secrets are dropped and counted, whatever a rule says.

`scope` is the kind of thing that bills, `id` tells one from another, `name` is for people. In the texts below
`{{fact}}` must be known, what stands in `[ ]` may be left out, and of several texts the first that can be filled
counts.
"""

_TAIL = """
## What a rule may look at

{kinds}
- `command`: a pattern over the command line (words joined by blanks) that need match only a part of it. Only what its
  named groups capture is ever kept. A group is used like a fact: `{{model}}`.

Other patterns must match the whole value.

## Rules of your own

```toml
# agent.toml
[identity]
rules = ["/etc/gpuledger/identity.toml"]
```

```toml
# /etc/gpuledger/identity.toml: read again when it changes; a broken edit keeps the last good table
[rules.labtool-run]                # a new name: comes first within its level
system = "labtool"
scope = "run"
level = "run"
id = "{{env:LABTOOL_RUN_ID}}"
name = ["{{env:LABTOOL_EXPERIMENT}}/{{number}}", "{{env:LABTOOL_RUN_ID}}"]
find = {{ "env:LABTOOL_RUN_ID" = '.*-(?P<number>\\d+)' }}   # optional; `when` is for what must match

[rules.feast-server]               # a known name: changes what it says, keeps the rest
enabled = false

[claims.squad]                     # where a team is named
tier = "pod label"
team = "{{label:example.org/squad}}"

[unpack.LABTOOL_CONTEXT]           # a variable that holds JSON (or base64+zlib+json): {{env:LABTOOL_CONTEXT.run}}
encoding = "json"
fields = ["run"]
```

`agree = {{ "env:A" = "cgroup:slurm_job" }}` leaves a rule out where both facts are known and differ. A variable whose
name says that it holds a secret is refused. Errors name the file, the entry and the nearest known word; an edit that
cannot be used is counted under `rules_rejected` among the failed look-ups.
"""


def reference_page(table: RuleTable) -> str:
    """Return the page, one row for each rule and each claim."""
    levels = [level for level in table.levels if any(rule.level == level for rule in table.rules)]
    context = sorted({rule.level for rule in table.rules if rule.context_only})
    chain = " > ".join(level for level in levels if level not in context)
    lines = [_HEAD.format(levels=chain, context=", ".join(f"`{level}` rules" for level in context))]
    lines += [
        "## Workloads",
        "",
        "| level | rule | system | scope | matches where | id | name |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_rule_row(rule) for rule in table.rules]
    lines += ["", "Notes:", ""]
    lines += [f"- `{rule.key}`: {rule.note}" for rule in table.rules if rule.note]
    lines += ["", "Evidently has no marks of its own: a report is billed to the task, job or kernel that makes it.", ""]
    lines += ["## Teams", "", "The first that is met is the holder's `team_claim`; its fact is the `team_source`.", ""]
    lines += ["| tier | claim | read from | note |", "|---|---|---|---|"]
    lines += [_claim_row(claim) for claim in table.claims]
    lines += [_TAIL.format(kinds="\n".join(f"- `{kind}:…`: {meaning}" for kind, meaning in FACT_KINDS.items()))]
    return "\n".join(lines)


def _rule_row(rule: Rule) -> str:
    ids, names = (_texts(template.source for template in found) for found in (rule.ids, rule.names))
    system = "from the claim" if rule.system.facts else rule.system.source
    return _row(rule.level, f"`{rule.key}`", system, rule.scope, "<br>".join(_needed(rule)), ids, names)


def _needed(rule: Rule) -> Iterator[str]:
    for condition in rule.when:
        yield f"{_condition(condition)}"
    for condition in rule.find:
        yield f"{_condition(condition)} (optional)"
    for one, other in rule.agree:
        yield f"`{one}` agrees with `{other}`"


def _claim_row(claim: Claim) -> str:
    return _row(claim.tier, f"`{claim.key}`", _texts([claim.team.source]), claim.note)


def _condition(condition: Condition) -> str:
    return f"`{condition.fact}` matches `{condition.pattern.pattern}`"


def _texts(sources: Iterable[str]) -> str:
    return "<br>".join(f"`{source}`" for source in sources)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference_page(built_in()))
