"""Any sequence of usage, prices, raises, credits, time, restarts and evaluations: what budgets say stays true."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.governance.budget_positions import placed_budgets
from collector.governance.budgets import BudgetWatch
from collector.governance.notices import load_notices
from collector.governance.requests import approve, request_approval, withdraw
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.periods.manual import add_adjustment
from collector.queries.budgets import budgets
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.admitting import Admission, may_start
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import iso, parse_period
from gpuledger.accounting.units import US_PER_DAY
from tests.collector.ask import ask
from tests.collector.batches import START_US
from tests.collector.fleet import prices
from tests.collector.test_collector_governance_budgets import HOUR, Site, book

LIMITS = {"acme/ml": 10, "acme/ml/vision": 6, "*": 15}
STAGES = (
    '[{ at = 50, tell = ["ann", "bob"] }, { at = 100, do = "hold", tell = ["ann"] }, { at = 120, do = "block" },'
    ' { at = 90, of = "committed", tell = ["bob"] }]'
)
RULES = (
    '[[rule]]\nname = "r"\naction = "approval"\napprovals = [{ roles = ["finance"] }]\n'
    '[[approvers]]\nname = "bob"\nroles = ["finance"]\n'
)
ACTIONS = {Admission.ALLOW: "", Admission.HOLD: "hold", Admission.BLOCK: "block"}


class Budgeting(RuleBasedStateMachine):
    """Everything that moves budgets, in any order, on a real ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.site = Site(self.directory / "ledger")
        self.site.clock.us = START_US
        import_rules(self.site.ledger, RULES.encode(), "toml", source="r", imported_us=START_US)
        self.site.give(book(*((owner, str(limit)) for owner, limit in LIMITS.items()), stages=STAGES))
        self.watch = BudgetWatch(self.site.ledger)
        self.hours = 0
        self.rate = Decimal("2.50")
        self.credits: Counter[str] = Counter()  # by month, in cents
        self.raises: list[tuple[int, int, int, int]] = []  # request, from, to, units
        self.looked_us = -1
        self.recorded: set[tuple[str, str, str]] = set()

    def teardown(self) -> None:
        self.site.ledger.close()
        shutil.rmtree(self.directory)

    @rule(who=st.sampled_from([1, 2, 3]), hours=st.integers(1, 3))
    def use(self, who: int, hours: int) -> None:
        """Let a team hold a GPU of its own for some hours, as data that arrives now."""
        self.site.clock.us = max(self.site.clock.us, START_US + (self.hours + hours) * HOUR)
        self.site.hold(self.hours, who, self.hours, self.hours + hours)
        self.hours += hours

    @rule(rate=st.sampled_from(["1.00", "2.50", "7.123456789"]))
    def reprice(self, rate: str) -> None:
        """Rate all open hours anew."""
        prices(
            self.site.ledger, f'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "{rate}"\n', at_us=self.site.clock.us
        )
        rate_dirty(self.site.ledger)

    @precondition(lambda self: self.hours)
    @rule(cents=st.integers(-900, 300).filter(bool))
    def credit(self, cents: int) -> None:
        """Enter an amount for vision onto the bill that is open."""
        amount = f"{Decimal(cents) / 100}"
        add_adjustment(self.site.ledger, owner="vision", amount=amount, currency="EUR", by="ann", why="agreed")
        self.credits["2026-05"] += cents

    @rule(owner=st.sampled_from(["acme/ml", "acme/ml/vision"]), units=st.integers(1, 20), days=st.integers(1, 40))
    def allow_more(self, owner: str, units: int, days: int) -> None:
        """Grant a raise that ends by itself."""
        now_us = self.site.clock.us
        wanted = Asked(
            kind="budget", owner=owner, amount=str(units), currency="EUR", by="ann", why="x",
            to=iso(now_us + days * US_PER_DAY),
        )  # fmt: skip
        number = request_approval(self.site.ledger, wanted)
        approve(self.site.ledger, number, by="bob")
        self.raises.append((number, list(LIMITS).index(owner), now_us + days * US_PER_DAY, units))

    @precondition(lambda self: self.raises)
    @rule(data=st.data())
    def end_early(self, data: st.DataObject) -> None:
        """End a raise before its time."""
        number, place, to_us, units = data.draw(st.sampled_from(self.raises))
        if to_us > self.site.clock.us:
            withdraw(self.site.ledger, number, by="ann", why="x")
            self.raises.remove((number, place, to_us, units))

    @rule(days=st.sampled_from([1, 7, 20]))
    def pass_days(self, days: int) -> None:
        """Let time pass, over the end of the month too: raises end, the period turns."""
        self.site.clock.us += days * US_PER_DAY

    @rule()
    def restart(self) -> None:
        """Stop the collector and start it: what it held in memory is gone."""
        self.site.ledger.close()
        self.site.ledger = Ledger.open(self.site.directory, clock=self.site.clock)
        self.watch = BudgetWatch(self.site.ledger)
        self.looked_us = -1

    @rule(times=st.integers(1, 3))
    def look(self, times: int) -> None:
        """Evaluate; again there is nothing new, and what holds is what the position says now."""
        with self.site.ledger.snapshot() as session:
            due = {
                (each.budget.key, each.period.label, stage.key)
                for each in placed_budgets(session, self.site.ledger.calendar, self.site.clock.us)
                for stage in each.reached
            }
        first = {tuple(each) for each in self.watch.look()}
        assert first == due - self.recorded
        self.recorded |= first
        for _ in range(times - 1):
            assert self.watch.look() == []
        rows = {row.owner: row for row in budgets(self.site.ledger).rows if iso(self.site.clock.us) < row.to}
        for owner in ("acme/ml/vision", "acme/ml", "acme/ops/run"):
            over = [rows[node].action for node in rows if node == "*" or owner == node or owner.startswith(f"{node}/")]
            strictest = next((action for action in ("block", "hold") if action in over), "")
            assert ACTIONS[may_start(self.watch.standing, owner).admission] == strictest

    @invariant()
    def each_stage_and_each_notice_is_there_once(self) -> None:
        """Once a period, and one notice for each name that the stage tells."""
        rows = ask(self.site.ledger, "SELECT budget, period, stage FROM budget_crossings")
        stages = [(budget, period, stage) for budget, period, stage in rows]
        assert len(stages) == len(set(stages))
        assert set(stages) == self.recorded
        tells = {"notify at 50 % of actual": 2, "hold at 100 % of actual": 1, "notify at 90 % of committed": 1}
        with self.site.ledger.snapshot() as session:
            keys = [each.key for each in load_notices(session)]
        assert len(keys) == len(set(keys)) == sum(tells.get(stage, 0) for _, _, stage in stages)

    @invariant()
    def spend_is_chargeback_to_the_quantum(self) -> None:
        """Charges of the owner in the period, and what people entered onto its bill."""
        may = parse_period("2026-05")
        by_team = {
            row.key: row.cost for row in chargeback(self.site.ledger, may, by="team").rows if row.kind == "owner"
        }
        entered = Decimal(self.credits["2026-05"]) / 100
        with self.site.ledger.snapshot() as session:
            placed = placed_budgets(session, self.site.ledger.calendar, self.site.clock.us)
        for each in placed:
            if each.period.label != "2026-05" or each.budget.owner == "*":
                continue
            teams = ("vision",) if each.budget.owner.endswith("vision") else ("vision", "speech")
            charged = sum((Decimal(by_team.get(team) or 0) for team in teams), entered)
            assert each.position.actual_quanta is not None
            assert each.position.actual_quanta == charged * QUANTA_PER_UNIT

    @invariant()
    def a_limit_is_the_books_and_the_raises_in_force(self) -> None:
        """When a raise is over, the limit is what it was."""
        now_us = self.site.clock.us
        for row in budgets(self.site.ledger).rows:
            at_us = min(now_us, parse_period(row.period).end_us - 1)
            place = list(LIMITS).index(row.owner)
            if at_us == now_us:
                more = sum(units for _, where, to_us, units in self.raises if where == place and at_us < to_us)
                assert (Decimal(row.limit), Decimal(row.raised)) == (LIMITS[row.owner], more)


TestBudgeting = Budgeting.TestCase
TestBudgeting.settings = settings(
    max_examples=6, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
