"""Requests: asked by one, decided by others whom the rules name, done once, and never otherwise than the records say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.governance.effects import exceptions_in_force, raises_in_force
from collector.governance.guarding import guard
from collector.governance.requests import ApprovalError, approve, deny, note_expired, request_approval, withdraw
from collector.governance.wanted import KINDS, Asked
from collector.governance.watching import note_lapsed
from collector.ledger.store import Ledger
from collector.periods.closing import PeriodError
from collector.periods.disputes import open_dispute
from collector.periods.entries import EntryError
from collector.queries.approvals import approval, approvals
from collector.queries.billing import invoices, periods
from collector.queries.books import prices as price_book
from collector.queries.disputes import disputes
from collector.queries.entered import entered
from collector.queries.facts import charges
from collector.queries.rules import (
    rule_decisions,
)
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError, GpuLedgerError, PriceBookError
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, owners, prices
from tests.collector.governed import OWNERS, PRICES, RULES, Site, at


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def test_rules_say_who_approves_and_the_last_approval_grants(site: Site) -> None:
    """Each step is recorded with the roles it was done in, and has its event."""
    number = site.ask(amount="500")
    assert approval(site.ledger, id=number).approval.needs == "2 of finance and 1 of lead"
    approve(site.ledger, number, by="bob", why="fits")
    approve(site.ledger, number, by="eve")
    assert approval(site.ledger, id=number).approval.needs in ("1 of finance", "1 of lead")
    with pytest.raises(ApprovalError, match="Zoë Bee may not approve"):
        approve(site.ledger, number, by="Zoë Bee")
    assert site.state(number) == "waiting", "two of finance are two people, and eve is one"
    assert [(step.what, step.by, step.roles) for step in approval(site.ledger, id=number).rows] == [
        ("requested", "ann", []),
        ("approved", "bob", ["finance"]),
        ("approved", "eve", ["finance", "lead"]),
    ]
    assert site.acts()[-3:] == ["approval.request", "approval.approve", "approval.approve"]


def test_an_effect_begins_and_ends_by_itself(site: Site) -> None:
    """A raise holds from when it is granted to its end, for exactly its owner; asked of a past instant it was so."""
    number = site.ask(to=at(3))
    assert not raises_in_force(site.ledger, "acme/ml", NOW_US)
    site.pass_days(1)
    approve(site.ledger, number, by="bob")
    granted_us = site.ledger.now_us()
    [found] = raises_in_force(site.ledger, "acme/ml", granted_us)
    assert (found.amount_quanta, found.currency, found.to_us) == (50 * 10**9, "EUR", NOW_US + 3 * US_PER_DAY)
    assert not raises_in_force(site.ledger, "acme/ml", granted_us - 1), "not before"
    assert not raises_in_force(site.ledger, "acme/ml/vision", granted_us), "a department's money is not each team's"
    assert not raises_in_force(site.ledger, "acme/ml", found.to_us)
    site.pass_days(1)
    withdraw(site.ledger, number, by="eve", why="spent elsewhere")
    assert not raises_in_force(site.ledger, "acme/ml", site.ledger.now_us())
    assert raises_in_force(site.ledger, "acme/ml", granted_us), "history stays"
    assert site.acts()[-3:] == ["approval.approve", "approval.grant", "approval.end"]


def test_exceptions_are_for_an_owner_and_all_beneath_it(site: Site) -> None:
    """What is granted to a department lets its teams through."""
    number = site.ask("exception", owner="ml", model="NVIDIA H100*", gpus="16")
    assert approval(site.ledger, id=number).approval.wanted == "let through with up to 16 GPUs of NVIDIA H100*"
    approve(site.ledger, number, by="bob")
    [found] = exceptions_in_force(site.ledger, "acme/ml/vision", NOW_US)
    assert (found.owner, found.model, str(found.gpus)) == ("acme/ml", "NVIDIA H100*", "16")
    assert not exceptions_in_force(site.ledger, "acme", NOW_US)


def test_an_approved_adjustment_is_entered_with_its_approval(site: Site) -> None:
    """In the transaction of the last approval: it is there when, and only when, that is."""
    number = site.ask("adjustment", amount="-500")
    assert not entered(site.ledger).rows
    for who in ("bob", "eve"):
        approve(site.ledger, number, by=who)
    assert not entered(site.ledger).rows
    site.rules(RULES + '[[approvers]]\nname = "kim"\nroles = ["lead"]\n')
    approve(site.ledger, number, by="kim")
    [row] = entered(site.ledger).rows
    assert (row.cost, row.owner, row.entered_by) == ("-500.00", "acme/ml/vision", "ann")
    assert row.because.startswith(f"it is late (approval {number})")
    assert approval(site.ledger, id=number).approval.made == f"adjustment {row.adjustment}"
    assert site.acts()[-3:] == ["approval.approve", "adjustment.add", "approval.grant"]


def test_what_cannot_be_done_any_more_is_not_granted(site: Site) -> None:
    """Where the act itself fails, the approval that would have done it is undone too."""
    number = site.ask("price", content=PRICES.replace("2.50", "3"), source="new.toml")
    approve_first = ledger_digest(site.ledger)
    prices(site.ledger, PRICES.replace("2.50", "2.60"))
    with pytest.raises(EntryError, match="made to follow version 1"):
        approve(site.ledger, number, by="bob")
    assert site.state(number) == "waiting"
    assert ledger_digest(site.ledger)[:1] == approve_first[:1]
    again = site.ask("price", content=PRICES.replace("2.50", "3"), source="new.toml")
    approve(site.ledger, again, by="bob")
    assert (price_book(site.ledger).version, price_book(site.ledger).source) == (3, f"new.toml (approval {again})")


def ledger_digest(ledger: Ledger) -> list[object]:
    return [ask(ledger, "SELECT * FROM approval_steps ORDER BY ALL"), ask(ledger, "SELECT count(*) FROM price_books")]


def test_a_close_that_is_not_clean_is_approved_and_done(site: Site) -> None:
    """The exception on the bill names who asked why, and the approval; the one who approved last closed it."""
    usage = records("GPU-0001", START_US, START_US + 2 * US_PER_HOUR, "pod:uid-1/c")
    site.ledger.ingest([frame(0, usage)])
    prices(site.ledger, PRICES.replace('model = "*"', 'model = "NVIDIA L4"'))
    rate_dirty(site.ledger)
    span = f"{iso(START_US)}..{iso(START_US + 2 * US_PER_HOUR)}"
    number = site.ask("exception", owner="", to="", period=span)
    assert not invoices(site.ledger).rows
    assert approval(site.ledger, id=number).rules[-2].became == "would decide", "a rule in shadow changes nothing"
    approve(site.ledger, number, by="bob")
    [closed] = [row for row in periods(site.ledger).rows if row.state == "closed"]
    assert (closed.label, closed.closed_by) == (span, "bob")
    assert f"it is late (approval {number})" in (closed.exception or "")
    assert approval(site.ledger, id=number).approval.made == f"period {span}"
    with pytest.raises(PeriodError, match="is closed since"):
        site.ask("exception", owner="", to="", period=span)


def test_a_dispute_is_decided_by_approval(site: Site) -> None:
    """Rules see whose money it is and how much; who opened it does not decide it last."""
    site.ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
    rate_dirty(site.ledger)
    [row] = charges(site.ledger, Period(START_US, START_US + US_PER_HOUR, ""), device="GPU-0001").rows
    dispute = open_dispute(site.ledger, on=row.charge, by="bob", why="not ours")
    number = site.ask("dispute", dispute=str(dispute), decision="partly", percent="50")
    assert approval(site.ledger, id=number).facts["amount"] == "1.25 EUR"
    assert approval(site.ledger, id=number).approval.owner == "acme/ml/vision"
    with pytest.raises(ApprovalError, match="bob opened dispute"):
        approve(site.ledger, number, by="bob")
    approve(site.ledger, number, by="zoë  bee")
    [found] = disputes(site.ledger).rows
    assert (found.decision, found.granted, found.decided_by) == ("partly", "1.25", "zoë  bee")


def test_what_is_done_directly_goes_by_the_rules_too(site: Site) -> None:
    """What a rule wants approved is refused with an event, what it allows or none speaks of is not."""
    asked = Asked(kind="adjustment", by="ann", why="w", owner="vision", amount="-500", currency="EUR")
    with pytest.raises(ApprovalError, match='rule "large" wants approval of 2 of finance and 1 of lead') as caught:
        guard(site.ledger, asked)
    assert caught.value.hint == "ask for it: gpuledger approval request adjustment"
    close = Asked(kind="exception", by="ann", why="w", period="2026-10")
    with pytest.raises(ApprovalError, match='rule "rest" wants approval'):
        guard(site.ledger, close)
    assert site.acts()[-2:] == ["rules.refuse", "rules.refuse"]
    assert [row.subject for row in rule_decisions(site.ledger, None, limit=9).rows] == [
        "exception by ann", "adjustment by ann"
    ]  # fmt: skip
    guard(site.ledger, Asked(kind="adjustment", by="ann", why="w", owner="vision", amount="5", currency="EUR"))
    approvers = '[[approvers]]\nname = "bob"\nroles = ["finance"]\n'
    site.rules(approvers)
    guard(site.ledger, asked)
    site.rules(f'default = "refuse"\n{approvers}')
    with pytest.raises(ApprovalError, match="no rule allows this"):
        guard(site.ledger, asked)
    actions = [row.action for row in rule_decisions(site.ledger, None, limit=9).rows]
    assert actions == ["refuse", "allow", "allow", "approval", "approval"], "each is on record, for dry runs"


def test_what_rules_allow_is_granted_at_once_but_never_money(site: Site) -> None:
    """Four eyes look at money whatever a rule says; no default allows anything."""
    assert site.state(site.ask("quota", gpus="4")) == "granted"
    money = site.ask("adjustment", amount="5")
    assert site.state(money) == "waiting"
    assert approval(site.ledger, id=money).approval.needs == "1 of approver or finance or admin"
    site.rules('[[approvers]]\nname = "bob"\nroles = ["finance"]\n')
    assert site.state(site.ask("quota", gpus="4")) == "waiting"


def test_what_a_rule_refuses_is_kept_as_refused(site: Site) -> None:
    """With the rule and its reason, and an event of its own."""
    number = site.ask("quota", owner="speech")
    found = approval(site.ledger, id=number)
    assert (found.approval.state, found.rows[1].by, found.rows[1].why) == (
        "refused",
        'rule "none for speech"',
        "speech has enough",
    )
    assert site.acts()[-2:] == ["approval.request", "approval.refuse"]
    with pytest.raises(ApprovalError, match="is refused by rule"):
        approve(site.ledger, number, by="bob")


def test_demands_are_those_of_the_instant_of_the_request(site: Site) -> None:
    """A later book neither loosens nor tightens what was asked before it; roles are those of now."""
    number = site.ask(amount="500")
    site.rules('[[approvers]]\nname = "joe"\nroles = ["finance", "lead"]\n')
    assert approval(site.ledger, id=number).approval.needs == "2 of finance and 1 of lead"
    with pytest.raises(ApprovalError, match="bob may not approve"):
        approve(site.ledger, number, by="bob")
    approve(site.ledger, number, by="joe")


def test_nobody_approves_or_denies_their_own(site: Site) -> None:
    """However the name is written."""
    number = site.ask(by="Bob ")
    for act in (approve, deny):
        with pytest.raises(ApprovalError, match="another person has to"):
            act(site.ledger, number, by="BOB", why="mine")
    withdraw(site.ledger, number, by="bob", why="mine")
    assert site.state(number) == "withdrawn"


def test_nobody_counts_twice_and_nobody_without_the_role(site: Site) -> None:
    """Refusals leave nothing behind."""
    number = site.ask(amount="500")
    approve(site.ledger, number, by="bob")
    before = ask(site.ledger, "SELECT count(*) FROM approval_steps"), site.acts()
    for who, says in (
        ("Bob", "has approved"),
        ("joe", "joe has no role"),
        ("", "who approves"),
        ("Zoë Bee", "no role"),
    ):
        with pytest.raises(GpuLedgerError, match=says):
            approve(site.ledger, number, by=who)
    assert (ask(site.ledger, "SELECT count(*) FROM approval_steps"), site.acts()) == before


def test_who_approved_may_still_deny(site: Site) -> None:
    """Somebody who learns better stops it, as long as it waits."""
    number = site.ask(amount="500")
    approve(site.ledger, number, by="bob")
    deny(site.ledger, number, by="bob", why="the money is gone")
    with pytest.raises(ApprovalError, match="is denied by bob since"):
        approve(site.ledger, number, by="eve")


def test_only_who_asked_takes_it_back(site: Site) -> None:
    """Others deny; what is done is not taken back here."""
    number = site.ask()
    with pytest.raises(ApprovalError, match="ann asked for"):
        withdraw(site.ledger, number, by="bob", why="no")
    done = site.ask("adjustment", by="kim")
    approve(site.ledger, done, by="bob")
    with pytest.raises(ApprovalError, match="it made adjustment 1"):
        withdraw(site.ledger, done, by="kim", why="no")
    approve(site.ledger, number, by="bob")
    with pytest.raises(ApprovalError, match="joe may not end"):
        withdraw(site.ledger, number, by="joe", why="no")
    site.pass_days(40)
    with pytest.raises(ApprovalError, match="its time is over"):
        withdraw(site.ledger, number, by="ann", why="no")


def test_a_request_expires_and_that_is_on_record_once(site: Site) -> None:
    """At its instant, whether or not anybody notes it; with its effect's end at the latest."""
    number, short = site.ask(expires=at(2)), site.ask(to=at(1))
    site.pass_days(2)
    assert [site.state(each) for each in (number, short)] == ["expired", "expired"]
    with pytest.raises(ApprovalError, match=f"is expired since {at(2)}"):
        approve(site.ledger, number, by="bob")
    since_us = note_lapsed(site.ledger)
    assert since_us == note_lapsed(site.ledger, since_us) == site.ledger.now_us()
    with site.ledger.transaction() as session:
        assert note_expired(session, site.ledger.now_us()) == 0, "once"
    assert site.acts()[-2:] == ["approval.expire", "approval.expire"]
    assert approval(site.ledger, id=number).rows[-1].what == "expired"
    assert site.state(number) == "expired"


def test_a_clock_that_goes_back_does_not_reorder_steps(site: Site) -> None:
    """No step is before the one that it follows."""
    number = site.ask()
    site.pass_days(-1)
    approve(site.ledger, number, by="bob")
    steps = approval(site.ledger, id=number).rows
    assert steps[1].at == steps[0].at


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a ledger to requests that leave nothing behind."""
    found = Site(tmp_path_factory.mktemp("shared"))
    yield found
    found.ledger.close()


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("bugdet", {}, 'nothing like "bugdet"'),
        ("", {}, 'nothing like ""'),
        ("budget", {"to": ""}, "needs to"),
        ("budget", {"amount": "many"}, '"many" is not an amount'),
        ("budget", {"amount": "1e3"}, "is not an amount"),
        ("budget", {"amount": "-5"}, "is negative"),
        ("budget", {"amount": "0"}, "is not an amount"),
        ("budget", {"amount": "1.0000000001"}, "is not an amount"),
        ("budget", {"amount": "\u0665"}, "is not an amount"),
        ("budget", {"amount": "9" * 400}, "is not an amount"),
        ("budget", {"currency": "USD"}, "counts in EUR"),
        ("budget", {"owner": "acme/ml/vison"}, "no owner is called"),
        ("budget", {"owner": "  "}, "no owner is called"),
        ("budget", {"gpus": "4"}, "has no gpus"),
        ("budget", {"to": at(-1)}, "would end"),
        ("budget", {"from": at(5), "to": at(5)}, "before or where it begins"),
        ("budget", {"from": at(-9), "to": at(-8)}, "would be over"),
        ("budget", {"to": at(400)}, "over 366 days"),
        ("budget", {"to": "tomorrow"}, "not an ISO 8601"),
        ("budget", {"expires": at(-1)}, "it would expire"),
        ("budget", {"expires": at(4000)}, "it would expire"),
        ("budget", {"by": " "}, "who asks is missing"),
        ("budget", {"why": ""}, "the reason is missing"),
        ("budget", {"why": "x" * 801}, "over 800 characters"),
        ("budget", {"why": "x" * 100_000}, "not a line of at most"),
        ("budget", {"why": "a\nb"}, "not a line"),
        ("budget", {"why": "zero\u200bwidth"}, "not a line"),
        ("budget", {"why": "\u202egnihtemos"}, "not a line"),
        ("budget", {"by": "\ud800"}, "not a line"),
        ("quota", {"gpus": ""}, "needs one of gpu_hours and gpus"),
        ("quota", {"gpu_hours": "5"}, "needs one of gpu_hours and gpus"),
        ("quota", {"gpus": "0"}, 'gpus "0" is not a number'),
        ("quota", {"gpus": "-3"}, "is not a number"),
        ("quota", {"gpus": "NaN"}, "is not a number"),
        ("exception", {"period": "2026-13", "owner": "", "to": ""}, "is not a month"),
        ("exception", {"period": "2026-10"}, "has no owner"),
        ("adjustment", {"owner": "acme"}, "no owner is called"),
        ("adjustment", {"from_owner": "vision"}, "is on both sides"),
        ("adjustment", {"period": "1999-01"}, "neither one closed period nor open"),
        ("dispute", {"dispute": "7", "decision": "upheld"}, "there is no dispute 7"),
        ("dispute", {"dispute": "x", "decision": "upheld"}, "is not the number of a dispute"),
        ("price", {}, "needs content"),
    ],
)
def test_requests_that_are_none_are_refused(shared: Site, kind: str, fields: dict[str, str], says: str) -> None:
    """With the next step; nothing is kept, no number is used up."""
    given = {name: value for name, value in fields.items() if name != "from"}
    with pytest.raises(GpuLedgerError, match=says) as caught:
        shared.ask(kind, **given, **({"from_": fields["from"]} if "from" in fields else {}))
    assert caught.value.hint
    assert not approvals(shared.ledger).rows
    assert not rule_decisions(shared.ledger, None, limit=10).rows


def test_a_price_book_is_read_before_anybody_is_asked(site: Site) -> None:
    """What could never be imported is not asked for, nor what is there already."""
    with pytest.raises(PriceBookError):
        site.ask("price", content="[[price]]\n")
    with pytest.raises(EntryError, match="version 1 of the price book already"):
        site.ask("price", content=PRICES)
    assert price_book(site.ledger).version == 1


def test_odd_names_and_reasons_are_kept_as_they_are(site: Site) -> None:
    """Any script and any emoji, 800 characters of it, in the history, the audit log and on the bill."""
    why = '价格, naïve 🧮 "x"; DROP TABLE ' + "ß" * 700
    number = site.ask("adjustment", by="Łukasz 李", why=why)
    approve(site.ledger, number, by="bob")
    assert approval(site.ledger, id=number).approval.why == why
    assert why in entered(site.ledger).rows[0].because


@pytest.mark.parametrize("number", [0, -1, 99, 2**40])
def test_a_request_that_is_not_there(shared: Site, number: int) -> None:
    """Whatever is done about it."""
    for act in (approve, deny, withdraw):
        with pytest.raises(ConfigError, match="there is no approval"):
            act(shared.ledger, number, by="bob", why="so")


def test_without_a_rule_book_nobody_may_approve(tmp_path: Path) -> None:
    """Nothing is granted where nobody said who grants."""
    with Ledger.open(tmp_path, clock=VirtualClock(NOW_US)) as ledger:
        prices(ledger, PRICES)
        owners(ledger, OWNERS)
        asked = Asked(kind="quota", by="ann", why="x", owner="vision", gpus="1", to=at(1))
        number = request_approval(ledger, asked)
        assert approval(ledger, id=number).rules_version == 0
        with pytest.raises(ApprovalError, match="bob has no role"):
            approve(ledger, number, by="bob")


def test_every_kind_says_what_it_needs() -> None:
    """The table names only fields that a request has."""
    fields = set(Asked.__struct_fields__) | {"from"}
    for kind in KINDS.values():
        assert {*kind.needs, *kind.one_of, *kind.may} <= fields
