"""What people change or keep over HTTP, in a line each: the path, what it takes, and what is done and answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from collector.access.roles import Right
from collector.api.parameters import bounded
from collector.governance.guarding import guard
from collector.governance.owners import find_node
from collector.governance.requests import approve, deny, request_approval, withdraw
from collector.governance.wanted import OWNERS_KINDS
from collector.governance.wanted import Asked as ApprovalRequest
from collector.ledger.store import Ledger
from collector.periods.disputes import open_dispute, require_subject, resolve_dispute, withdraw_dispute
from collector.periods.late_prices import price_closed
from collector.periods.manual import add_adjustment, withdraw_adjustment
from collector.queries.advice import AdviceRequest, KeptAdvice, keep_advice
from collector.queries.approvals import Approval, approval
from collector.queries.budgets import Evaluation, EvaluationRequest, evaluate_budgets
from collector.queries.disputes import Dispute, dispute
from collector.queries.drift import DriftRequest, KeptDrift, keep_drift
from collector.queries.entered import Entered, entered
from collector.queries.quota_standing import QuotaEvaluation, QuotaEvaluationRequest, evaluate_quotas
from collector.queries.rules import Explained, RuleQuestion, explain_rules
from gpuledger.accounting.periods import parse_period
from gpuledger.errors import ConfigError

read_number: Final = bounded(1, 2**31 - 1)


class DisputeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is disputed (a charge, an invoice or a line of one), by whom, why; for whom, where several pay for it."""

    on: str
    by: str
    why: str
    owner: str = ""


class ResolutionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided, by whom and why; of one that is upheld partly, how much; and who pays instead."""

    decision: str
    by: str
    why: str
    amount: str = ""
    percent: str = ""
    to: str = ""
    same_person: str = ""


class WithdrawalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes something back, and why."""

    by: str
    why: str


class AdjustmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is added to (or taken from) the bill of an owner, who says so and why, and the period that it is for."""

    owner: str
    amount: str
    currency: str
    by: str
    why: str
    period: str = ""
    from_owner: str = ""


class ApprovalDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who approves, and what there is to say about it."""

    by: str
    why: str = ""


class LatePriceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which closed period gets the prices that it did not have."""

    period: str
    by: str
    why: str


class Own(NamedTuple):
    """How those change something who see the rows of some owners only.

    `sees(their ledger, number, body)` raises where what is changed does not exist for them, as it does where there is
    no such thing at all; `show(their ledger, answer)` answers with what they see of it.
    """

    sees: Callable[[Ledger, int, Any], object]
    show: Callable[[Ledger, Any], msgspec.Struct]


class Change(NamedTuple):
    """`POST path` with a body such as `example`: `do(ledger, number in the path or 0, body)` answers.

    `needs` is the right that it takes. Without `own` it is not for those who are bound to owners.
    """

    path: str
    means: str
    takes: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    do: Callable[[Ledger, int, Any], msgspec.Struct]
    example: str
    needs: Right = Right.ADMINISTER
    own: Own | None = None


def _open(ledger: Ledger, _number: int, asked: DisputeRequest) -> Dispute:
    return dispute(ledger, id=open_dispute(ledger, on=asked.on, by=asked.by, why=asked.why, owner=asked.owner))


def _resolve(ledger: Ledger, number: int, asked: ResolutionRequest) -> Dispute:
    said = {name: getattr(asked, name) for name in ("decision", "by", "why", "amount", "percent")}
    guard(ledger, ApprovalRequest(kind="dispute", dispute=str(number), to_owner=asked.to, **said))
    resolve_dispute(ledger, number, **msgspec.structs.asdict(asked))
    return dispute(ledger, id=number)


def _withdraw(ledger: Ledger, number: int, asked: WithdrawalRequest) -> Dispute:
    withdraw_dispute(ledger, number, by=asked.by, why=asked.why)
    return dispute(ledger, id=number)


def _add(ledger: Ledger, _number: int, asked: AdjustmentRequest) -> Entered:
    guard(ledger, ApprovalRequest(kind="adjustment", **msgspec.structs.asdict(asked)))
    return entered(ledger, number=add_adjustment(ledger, **msgspec.structs.asdict(asked)))


def _price(ledger: Ledger, _number: int, asked: LatePriceRequest) -> Entered:
    period = parse_period(asked.period, ledger.calendar.days)
    return entered(ledger, number=price_closed(ledger, period, by=asked.by, why=asked.why))


def _keep_drift(ledger: Ledger, _number: int, asked: DriftRequest) -> KeptDrift:
    return keep_drift(ledger, asked)


def _keep_advice(ledger: Ledger, _number: int, asked: AdviceRequest) -> KeptAdvice:
    return keep_advice(ledger, asked)


def _take_back(ledger: Ledger, number: int, asked: WithdrawalRequest) -> Entered:
    withdraw_adjustment(ledger, number, by=asked.by, why=asked.why)
    return entered(ledger, number=number)


def _sees_owner(ledger: Ledger, _number: int, asked: ApprovalRequest) -> None:
    if asked.kind not in OWNERS_KINDS or asked.period:
        raise ConfigError(
            f"{asked.kind or 'this'} is asked for by somebody who sees the whole organisation",
            hint=f"for an owner of your own: {', '.join(OWNERS_KINDS)}",
        )
    with ledger.snapshot() as session:
        node = find_node(session, asked.owner)
    if node != asked.owner.strip().strip("/"):  # the end of a path may mean another owner, too, in the whole ledger
        raise ConfigError(f'"{asked.owner}" is the end of a name', hint=f"write it in full: {node}")


def _sees_request(ledger: Ledger, number: int, _asked: WithdrawalRequest) -> None:
    approval(ledger, id=number)


def _request_again(ledger: Ledger, answer: Approval) -> Approval:
    return approval(ledger, id=answer.approval.approval)


def _request(ledger: Ledger, _number: int, asked: ApprovalRequest) -> Approval:
    return approval(ledger, id=request_approval(ledger, asked))


def _approve(ledger: Ledger, number: int, asked: ApprovalDecision) -> Approval:
    approve(ledger, number, by=asked.by, why=asked.why)
    return approval(ledger, id=number)


def _deny(ledger: Ledger, number: int, asked: WithdrawalRequest) -> Approval:
    deny(ledger, number, by=asked.by, why=asked.why)
    return approval(ledger, id=number)


def _take_back_request(ledger: Ledger, number: int, asked: WithdrawalRequest) -> Approval:
    withdraw(ledger, number, by=asked.by, why=asked.why)
    return approval(ledger, id=number)


def _explain_rules(ledger: Ledger, _number: int, asked: RuleQuestion) -> Explained:
    return explain_rules(ledger, asked)


def _evaluate_budgets(ledger: Ledger, _number: int, _asked: EvaluationRequest) -> Evaluation:
    return evaluate_budgets(ledger)


def _evaluate_quotas(ledger: Ledger, _number: int, _asked: QuotaEvaluationRequest) -> QuotaEvaluation:
    return evaluate_quotas(ledger)


def _sees_subject(ledger: Ledger, _number: int, asked: DisputeRequest) -> None:
    require_subject(ledger, on=asked.on, owner=asked.owner)


def _sees_dispute(ledger: Ledger, number: int, _asked: WithdrawalRequest) -> None:
    dispute(ledger, id=number)


def _dispute_again(ledger: Ledger, answer: Dispute) -> Dispute:
    return dispute(ledger, id=answer.dispute.dispute)


CHANGES: Final[tuple[Change, ...]] = (
    Change(
        "/v1/disputes", "dispute a charge, an invoice or a line of one", DisputeRequest, Dispute, _open,
        '{"on":"7-2","by":"ann","why":"not our job"}', Right.DISPUTE, Own(_sees_subject, _dispute_again),
    ),
    Change(
        "/v1/disputes/{number}/resolution", "decide a dispute, once", ResolutionRequest, Dispute, _resolve,
        '{"decision":"partly","percent":"50","by":"bob","why":"half of it was ours"}', Right.DECIDE,
    ),
    Change(
        "/v1/disputes/{number}/withdrawal", "end a dispute without a decision", WithdrawalRequest, Dispute, _withdraw,
        '{"by":"ann","why":"it was ours after all"}', Right.DISPUTE, Own(_sees_dispute, _dispute_again),
    ),
    Change(
        "/v1/adjustments", "add an amount to the bill of an owner", AdjustmentRequest, Entered, _add,
        '{"owner":"acme/research/vision","amount":"-12.50","currency":"EUR","by":"ann","why":"agreed in OPS-7"}',
        Right.BILL,
    ),
    Change(
        "/v1/adjustments/price", "price what was closed without a price", LatePriceRequest, Entered, _price,
        '{"period":"2026-10","by":"ann","why":"the contract came late"}', Right.BILL,
    ),
    Change(
        "/v1/adjustments/{number}/withdrawal", "take back an adjustment that is on no bill yet", WithdrawalRequest,
        Entered, _take_back, '{"by":"ann","why":"entered twice"}', Right.BILL,
    ),
    Change(
        "/v1/drift", "keep a comparison of two periods", DriftRequest, KeptDrift, _keep_drift,
        '{"by":"team","level":0.05,"reference":["2026-10-01","2026-10-29"],"current":["2026-10-29","2026-11-05"],"tested":40,'
        '"results":[{"scope":"team:vision","metric":"power_w","verdict":"drift","score":0.4}]}', Right.BOOKS,
    ),
    Change(
        "/v1/advice", "keep advice about waste, and what came of earlier advice",
        AdviceRequest, KeptAdvice, _keep_advice,
        '{"period":["2026-10-01","2026-11-01"],"currency":"EUR","advice":[{"kind":"held_idle","reason":"memory_held",'
        '"part_us":"1512000000000","workload":"jupyter","team":"vision","low":"0.5","high":"1.25"}]}', Right.BOOKS,
    ),
    Change(
        "/v1/approvals", "ask for approval: of a budget, a quota, an exception, a price, a dispute, an adjustment",
        ApprovalRequest, Approval, _request,
        '{"kind":"budget","owner":"acme/research","amount":"500","currency":"EUR","to":"2026-12-01",'
        '"by":"ann","why":"the deadline"}', Right.REQUEST, Own(_sees_owner, _request_again),
    ),
    Change(
        "/v1/approvals/{number}/approval", "approve a request; the last approval that it needs grants it",
        ApprovalDecision, Approval, _approve, '{"by":"bob","why":"it fits"}', Right.DECIDE,
    ),
    Change(
        "/v1/approvals/{number}/denial", "deny a request: that ends it", WithdrawalRequest, Approval, _deny,
        '{"by":"bob","why":"not this month"}', Right.DECIDE,
    ),
    Change(
        "/v1/approvals/{number}/withdrawal", "take a request back, or end what it was granted before its time",
        WithdrawalRequest, Approval, _take_back_request, '{"by":"ann","why":"it was not needed"}', Right.REQUEST,
        Own(_sees_request, _request_again),
    ),
    Change(
        "/v1/budgets/evaluation", "record which stages budgets reached, each once a period, and who is to be told",
        EvaluationRequest, Evaluation, _evaluate_budgets, "{}", Right.BOOKS,
    ),
    Change(
        "/v1/quotas/evaluation", "record which stages quotas reached, each once a period, and who is to be told",
        QuotaEvaluationRequest, QuotaEvaluation, _evaluate_quotas, "{}", Right.BOOKS,
    ),
    Change(
        "/v1/rules/explain", "what the rules would decide about facts that are made up; stores nothing", RuleQuestion,
        Explained, _explain_rules, '{"facts":{"kind":"workload","owner":"acme/research","gpus":"8"}}', Right.READ_ALL,
    ),
)  # fmt: skip


def find_change(path: str) -> tuple[Change, int]:
    """Return what `POST path` does, and the number in the path (0 where it has none)."""
    for change in CHANGES:
        found = re.fullmatch(change.path.replace("{number}", r"(\d+)"), path)
        if found:
            return change, read_number(found[1]) if found.groups() else 0
    raise ConfigError(f"there is nothing to change at {path}", hint="see /openapi.json for what there is")
