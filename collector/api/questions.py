"""The questions that can be asked over HTTP: one line each, with the function that answers and what it takes."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.access.roles import Right
from collector.api.parameters import (
    Parameter,
    bounded,
    parse_optional_instant,
    parse_optional_period,
    parse_period_or_current,
)
from collector.periods.verifying import verify_period
from collector.queries.adjustments import adjustments
from collector.queries.admissions import RESULTS, admissions
from collector.queries.advice import advice
from collector.queries.approvals import approval, approvals
from collector.queries.audit import audit, audit_checkpoints, audit_entries
from collector.queries.bill import KINDS, bill, bill_table
from collector.queries.billing import invoice, invoices, periods
from collector.queries.books import carbon, directory, owners, prices
from collector.queries.budgets import budget_book, budgets, notices
from collector.queries.charge_id import parse_charge_id
from collector.queries.chargeback import chargeback
from collector.queries.conditions import conditions, conditions_table
from collector.queries.contracts import contracts
from collector.queries.disputes import dispute, disputes
from collector.queries.drift import drift
from collector.queries.entered import entered
from collector.queries.explain import explain
from collector.queries.facts import DEFAULT_LIMIT, charges, devices, events, quarantine, usage
from collector.queries.gap import gap
from collector.queries.grouping import BY, BY_DEVICE, VIEWS
from collector.queries.holdings import holdings
from collector.queries.idle import idle
from collector.queries.idle_workloads import idle_workloads
from collector.queries.job_time import ASPECTS, job_time, job_time_table
from collector.queries.loans import loans
from collector.queries.memory import memory, memory_table
from collector.queries.node_costs import node_costs
from collector.queries.owner_moves import owner_moves
from collector.queries.owner_trials import owner, try_owner
from collector.queries.policies import policies
from collector.queries.quota_manifests import TARGETS, quota_manifests
from collector.queries.quota_standing import quota_book, quota_standing
from collector.queries.quotas import quotas
from collector.queries.reconcile import reconcile
from collector.queries.rules import dry_run, rule_decision, rule_decisions, rules, rules_history
from collector.queries.series import series, series_table
from collector.queries.shares import shares
from collector.queries.status import status
from collector.queries.timeline import GRAINS, timeline
from collector.queries.utilization import utilization
from collector.queries.waste import GRACE_HOURS, idle_power, waste
from collector.queries.week import week
from collector.queries.workloads import EVERY_SYSTEM, workloads
from gpuledger.accounting.idle_policy import POLICIES
from gpuledger.accounting.periods import parse_period
from gpuledger.rules.requests import State
from gpuledger.within import parse_within

MAX_LIMIT: Final = 1_000_000


class Question(NamedTuple):
    """`GET /v1/<name>`: `ask(ledger, **parameters)` answers. `rated`: what waits is rated first.

    `table` gives the rows of an answer that may have very many of them as an Arrow table, without going row by row.
    `needs` is the right that it takes: those who are bound to owners ask what needs READ of a ledger with their rows.
    """

    name: str
    means: str
    ask: Callable[..., msgspec.Struct]
    parameters: tuple[Parameter, ...] = ()
    rated: bool = False
    table: Callable[..., pa.Table] | None = None
    needs: Right = Right.ADMINISTER

    @property
    def path(self) -> str:
        """Return where it is asked."""
        return f"/v1/{self.name}"

    @property
    def answer(self) -> type[msgspec.Struct]:
        """Return the type of the answer."""
        found: type[msgspec.Struct] = typing.get_type_hints(self.ask)["return"]
        return found


_WORDS: Final = (
    "YYYY-MM, YYYY-Qn, YYYY-Wnn, or FROM..TO in ISO 8601, by the days of the billing zone, or in UTC with a Z"
    " (TO itself is not included)"
)
PERIOD: Final = Parameter("period", f"{_WORDS}; absent: this month", parse_period_or_current, default="", by_days=True)
ANY_PERIOD: Final = Parameter("period", f"{_WORDS}; absent: ever", parse_optional_period, default="", by_days=True)
CLOSED: Final = Parameter("period", f"a closed one: {_WORDS}", parse_period, by_days=True)
GROUP: Final = Parameter("by", "what to group by", default="team", choices=BY)
DEVICE_GROUP: Final = Parameter("by", "what to group by", default="model", choices=BY_DEVICE)
GRACE: Final = Parameter(
    "grace", "hours at the start of each idle stretch that the low saving forgives", bounded(0, 8_760), str(GRACE_HOURS)
)
VIEW: Final = Parameter("view", "charge what was held, or what was active", default="allocation", choices=VIEWS)
IDLE_POLICY: Final = Parameter(
    "idle_policy", "who pays for time that nobody held", default=POLICIES[0], choices=POLICIES, of_all=True
)
GRAIN: Final = Parameter("grain", "the length of a step", default="hour", choices=GRAINS)
DEVICE: Final = Parameter("device", "the key of one device; absent: all", default="")
CHARGE: Final = Parameter("charge", "the name of a charge, as /v1/charges has it", parse_charge_id)
KIND: Final = Parameter("kind", "charges of hours, or corrections of closed periods", default="charge", choices=KINDS)
ASPECT: Final = Parameter(
    "aspect", "when jobs held devices, or when those were watched", default="held", choices=tuple(ASPECTS)
)
HOLDER: Final = Parameter("holder", "the key of a holder, as /v1/usage has it")
AT: Final = Parameter(
    "at", "an instant in ISO 8601 (UTC); absent: when it last held a device", parse_optional_instant, default=""
)
DISPUTE: Final = Parameter("id", "the number of a dispute", bounded(1, 2**31 - 1))
APPROVAL: Final = Parameter("id", "the number of a request", bounded(1, 2**31 - 1))
STATE: Final = Parameter(
    "state", "only requests in this state; absent: all", default="", choices=("", *(each.value for each in State))
)
DECISION: Final = Parameter("id", "the number of a decision", bounded(1, 2**53 - 1))
AS_KNOWN: Final = Parameter(
    "as_known", "answer with what was known at this instant; absent: now", parse_optional_instant, "", by_days=True
)
NUMBER: Final = Parameter("number", "the number of an invoice", bounded(1, 2**31 - 1))
ACT: Final = Parameter(
    "act",
    "only acts of this name, such as price.import, or all but it after a minus: -access.read; absent: all",
    default="",
)
ACTOR: Final = Parameter("actor", "only what this one did; absent: all", default="")
RESULT: Final = Parameter("result", "only what was decided so; absent: all", default="", choices=RESULTS)
FIRST: Final = Parameter("first", "the sequence to begin with", bounded(0, 2**53 - 1), default="0")
WITHIN: Final = Parameter(
    "within",
    "a part of the ledger: /ORGANISATION/DEPARTMENT/TEAM/PROJECT/USER/WORKLOAD as far down as wanted (*: any; empty:"
    " without one), unattributed/USER/WORKLOAD, idle, unavailable or unobserved; absent: everything",
    parse_within,
    default="",
)
SYSTEM: Final = Parameter(
    "system", "the system that started a workload; empty: none was recognised", default=EVERY_SYSTEM
)
TARGET: Final = Parameter("target", "whose objects they are", default=next(iter(TARGETS)), choices=tuple(TARGETS))
CLUSTER: Final = Parameter("cluster", "the cluster that owner rules ask about, as agents name it", default="")
LIMIT: Final = Parameter("limit", "the most rows to return", bounded(1, MAX_LIMIT), default=str(DEFAULT_LIMIT))
OFFSET: Final = Parameter("offset", "how many rows to leave out first", bounded(0, MAX_LIMIT), default="0")
EVERY_ROW: Final = LIMIT._replace(means="the most rows to return; absent: all", default=str(MAX_LIMIT))

QUESTIONS: Final[tuple[Question, ...]] = (
    Question("status", "what the ledger holds and how far it is known", status, needs=Right.READ),
    Question(
        "chargeback",
        "what each group held, used and cost",
        chargeback,
        (PERIOD, GROUP, VIEW, IDLE_POLICY, WITHIN, EVERY_ROW, OFFSET, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "gap", "what each team held and did not use, by cause", gap, (PERIOD, AS_KNOWN), rated=True, needs=Right.READ
    ),
    Question(
        "utilization",
        "time in each state, by group",
        utilization,
        (PERIOD, GROUP, WITHIN, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "workloads",
        "what each run, step or endpoint held, did and cost, the dearest first",
        workloads,
        (PERIOD, WITHIN, SYSTEM, LIMIT, OFFSET),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "idle",
        "who held devices without work, the dearest first",
        idle,
        (PERIOD, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "idle_workloads",
        "what each workload held without work, its runs together, the dearest first",
        idle_workloads,
        (PERIOD, WITHIN, EVERY_ROW, OFFSET, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "waste",
        "what was held idle or left over by MIG, what it cost and what could have been saved, the dearest first: exact",
        waste,
        (PERIOD, GRACE, EVERY_ROW, OFFSET, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "idle_power",
        "energy that boards took while nobody held them, by node and model",
        idle_power,
        (PERIOD, EVERY_ROW, OFFSET, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "reconcile",
        "the conservation proof of a period",
        reconcile,
        (PERIOD, AS_KNOWN),
        rated=True,
        needs=Right.READ_ALL,
    ),
    Question(
        "node_costs",
        "what each node's devices cost and how long they existed, by day",
        node_costs,
        (PERIOD,),
        rated=True,
        needs=Right.READ_ALL,
    ),
    Question(
        "timeline", "states and costs over time", timeline, (PERIOD, GRAIN, AS_KNOWN), rated=True, needs=Right.READ
    ),
    Question(
        "series",
        "what each group held and cost, step by step: exact and narrow, for forecasts",
        series,
        (PERIOD, GROUP, GRAIN),
        rated=True,
        table=series_table,
        needs=Right.READ,
    ),
    Question(
        "holdings",
        "what each holder needed of each device it worked on, and what kinds of devices there are",
        holdings,
        (PERIOD,),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "week",
        "time in each state by hour of the week, by a property of devices: exact",
        week,
        (PERIOD, DEVICE_GROUP, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "memory",
        "the most memory in use on each device and day, by group",
        memory,
        (PERIOD, GROUP),
        rated=True,
        table=memory_table,
        needs=Right.READ,
    ),
    Question(
        "conditions",
        "clock and temperature of boards while they worked, by hour",
        conditions,
        (PERIOD,),
        table=conditions_table,
        needs=Right.READ,
    ),
    Question("advice", "advice about waste that was kept, and what it really saved", advice, needs=Right.READ),
    Question(
        "drift",
        "what drifted in the newest comparison that was kept of each dimension",
        drift,
        needs=Right.READ_ALL,
    ),
    Question(
        "charges",
        "charges, hour by hour",
        charges,
        (PERIOD, DEVICE, WITHIN, LIMIT, OFFSET),
        rated=True,
        needs=Right.READ,
    ),
    Question("explain", "one charge down to its evidence", explain, (CHARGE,), rated=True, needs=Right.READ),
    Question(
        "bill",
        "lines of bills, whole, for exports",
        bill,
        (PERIOD, KIND),
        rated=True,
        table=bill_table,
        needs=Right.READ,
    ),
    Question(
        "job_time",
        "when a scheduler's jobs held devices",
        job_time,
        (PERIOD, ASPECT),
        table=job_time_table,
        needs=Right.READ_ALL,
    ),
    Question("usage", "usage records as reported", usage, (PERIOD, DEVICE, LIMIT), needs=Right.READ),
    Question("devices", "the devices that were ever seen", devices, needs=Right.READ),
    Question("events", "what happened", events, (ANY_PERIOD, LIMIT), needs=Right.READ),
    Question(
        "periods", "billing periods: open, closing and closed", periods, (AS_KNOWN,), rated=True, needs=Right.READ
    ),
    Question(
        "verification",
        "a closed bill made again from its inputs, and compared",
        verify_period,
        (CLOSED,),
        needs=Right.READ_ALL,
    ),
    Question(
        "adjustments",
        "what bills have beside charges and corrections, and why",
        adjustments,
        (PERIOD, AS_KNOWN),
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "disputes",
        "all disputes: what is in question, decided and billed",
        disputes,
        (AS_KNOWN,),
        rated=True,
        needs=Right.READ,
    ),
    Question("dispute", "one dispute, its history and its charges", dispute, (DISPUTE,), rated=True, needs=Right.READ),
    Question(
        "entered", "adjustments that people entered, and whose bill has them", entered, (AS_KNOWN,), needs=Right.READ
    ),
    Question("invoices", "all invoices and credit notes", invoices, (AS_KNOWN,), needs=Right.READ),
    Question("invoice", "one invoice, line by line", invoice, (NUMBER,), needs=Right.READ),
    Question("prices", "the newest price book", prices, needs=Right.READ),
    Question(
        "contracts",
        "what contracts committed, what of it was covered and what was short",
        contracts,
        (PERIOD,),
        needs=Right.READ_ALL,
    ),
    Question("owners", "the newest owner mapping", owners, needs=Right.READ_ALL),
    Question("policies", "the newest policy book", policies, needs=Right.READ_ALL),
    Question(
        "owner",
        "which owner rule applies to a holder, and why not the others",
        owner,
        (HOLDER, AT),
        needs=Right.READ_ALL,
    ),
    Question("shares", "the newest share book", shares, needs=Right.READ_ALL),
    Question(
        "loans",
        "what teams had of the idle shares of others, and what that cost",
        loans,
        (PERIOD,),
        rated=True,
        needs=Right.READ_ALL,
    ),
    Question("quotas", "use against shares: borrowed, lent, idle", quotas, (PERIOD,), rated=True, needs=Right.READ_ALL),
    Question(
        "quotas/status",
        "where each quota stands: used, borrowed, lent, how much more fits",
        quota_standing,
        rated=True,
        needs=Right.READ,
    ),
    Question(
        "quotas/manifests",
        "quotas of GPUs as objects of Kubernetes or of Kueue, to apply to a cluster",
        quota_manifests,
        (TARGET, CLUSTER),
        needs=Right.READ_ALL,
    ),
    Question("quotas/book", "the newest quota book", quota_book, needs=Right.READ_ALL),
    Question("budgets", "where each budget stands: spent, committed, forecast", budgets, rated=True, needs=Right.READ),
    Question("budgets/book", "the newest budget book", budget_book, needs=Right.READ_ALL),
    Question(
        "budgets/notices", "who was told of which stage of a budget, the newest first", notices, needs=Right.READ_ALL
    ),
    Question("directory", "the newest directory of people", directory, needs=Right.READ_ALL),
    Question("carbon", "regions whose carbon intensity is known by the hour", carbon, needs=Right.READ_ALL),
    Question("approvals", "all approval requests", approvals, (STATE,), needs=Right.READ),
    Question(
        "approval",
        "one approval request: its history, and what rules made of it",
        approval,
        (APPROVAL,),
        needs=Right.READ,
    ),
    Question("rules", "the newest rule book", rules, needs=Right.READ_ALL),
    Question("rules/history", "all rule books that were imported", rules_history, needs=Right.READ_ALL),
    Question(
        "rules/decisions",
        "what rules decided, the newest first",
        rule_decisions,
        (ANY_PERIOD, LIMIT),
        needs=Right.READ_ALL,
    ),
    Question(
        "rules/decision",
        "one decision, explained by the rules that made it",
        rule_decision,
        (DECISION,),
        needs=Right.READ_ALL,
    ),
    Question(
        "audit",
        "what was done, and by whom, the newest first",
        audit,
        (ANY_PERIOD, ACT, ACTOR, LIMIT),
        needs=Right.AUDIT,
    ),
    Question(
        "audit/entries", "the audit log as it is kept, for a verifier", audit_entries, (FIRST,), needs=Right.AUDIT
    ),
    Question("audit/checkpoints", "signed heads of the audit log", audit_checkpoints, needs=Right.AUDIT),
    Question(
        "admissions",
        "what schedulers asked before work started, and were told, the newest first",
        admissions,
        (ANY_PERIOD, RESULT, LIMIT),
        needs=Right.READ_ALL,
    ),
    Question("quarantine", "batches that were refused and kept", quarantine, (LIMIT,), needs=Right.READ_ALL),
)

# Asked with an owner mapping as the body, of which nothing is stored: `ask(ledger, rules, **parameters)` answers.
OWNER_CHECKS: Final[tuple[Question, ...]] = (
    Question(
        "owners/explain", "which rule of this file would apply to a holder", try_owner, (HOLDER, AT), needs=Right.BOOKS
    ),
    Question(
        "owners/test",
        "what this file would move from which owner to which",
        owner_moves,
        (PERIOD,),
        rated=True,
        needs=Right.BOOKS,
    ),
)

# Asked with a rule book as the body, of which nothing is stored.
RULES_CHECK: Final = Question(
    "rules/dry-run",
    "which recorded decisions this rule book would make otherwise",
    dry_run,
    (ANY_PERIOD,),
    needs=Right.BOOKS,
)
