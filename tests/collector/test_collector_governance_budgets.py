"""Budgets on a ledger: the book, spend as on bills, raises, and stages that are recorded once whatever comes when."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collector.api.metrics import FiguresCollector
from collector.api.services import ledger_figures
from collector.governance.budget_books import import_budgets
from collector.governance.budget_files import parse_budget_book
from collector.governance.budgets import BudgetWatch
from collector.governance.requests import approve, request_approval, withdraw
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.periods.manual import add_adjustment
from collector.pricing.shares import import_shares
from collector.queries.audit import audit
from collector.queries.billing import invoices
from collector.queries.budgets import BudgetRow, budget_book, budgets, evaluate_budgets, notices, try_budgets
from collector.rating import rate_dirty
from gpuledger.accounting.admitting import Admission, may_start
from gpuledger.accounting.periods import iso, parse_period
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import BudgetBookError, ConfigError
from gpuledger.model import State
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import owners, prices
from tests.collector.governed import Clock

HOUR = US_PER_HOUR
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "budgets.toml"
OWNERS = "".join(
    f'[[owner]]\norganisation = "acme"\ndepartment = "{department}"\nteam = "{team}"\nmatch.namespace = "{space}"\n'
    for department, team, space in (("ml", "vision", "team-1"), ("ml", "speech", "team-2"), ("ops", "run", "team-0"))
)
STAGES = '[{ at = 50, tell = ["ann"] }, { at = 80 }, { at = 100, do = "hold" }, { at = 120, do = "block" }]'


def book(*budgets_: tuple[str, str], period: str = "month", stages: str = STAGES) -> bytes:
    return "".join(
        f'[[budget]]\nowner = "{owner}"\nperiod = "{period}"\ncurrency = "EUR"\namount = "{amount}"\nstages = {stages}\n'
        for owner, amount in budgets_
    ).encode()


class Site:
    """A ledger in the month of START_US, whose GPU-hour costs 2.50."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.clock.us = START_US + 10 * HOUR
        self.directory = directory
        self.ledger = Ledger.open(directory, clock=self.clock)
        self.sequence = -1
        prices(self.ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n', at_us=START_US)
        owners(self.ledger, OWNERS, at_us=START_US)

    def hold(self, number: int, who: int, first: int, last: int) -> None:
        """Let a GPU be held by a team in hours `[first, last)`."""
        self.sequence += 1
        usage = records(f"GPU-{number:04d}", START_US + first * HOUR, START_US + last * HOUR, f"pod:uid-{who}/c")
        assert [each.code for each in self.ledger.ingest([frame(self.sequence, usage)])] == [""]
        rate_dirty(self.ledger)

    def give(self, content: bytes) -> None:
        import_budgets(self.ledger, content, "toml", source="budgets.toml", imported_us=self.clock.us)

    def row(self, owner: str) -> BudgetRow:
        [found] = [each for each in budgets(self.ledger).rows if each.owner == owner]
        return found

    def fired(self) -> list[str]:
        return [row.stage for row in evaluate_budgets(self.ledger).rows]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def test_a_node_spends_what_all_beneath_it_do(site: Site) -> None:
    """Each charge once: children sum to their parent, and everything is four GPUs for four hours, held or not."""
    site.hold(1, 1, 0, 4)
    site.hold(2, 2, 0, 2)
    site.hold(3, 3, 0, 1)  # of team-0
    usage = records("GPU-0004", START_US, START_US + 2 * HOUR)  # nobody's
    site.ledger.ingest([frame(site.sequence + 1, usage)])
    rate_dirty(site.ledger)
    nodes = ("*", "acme", "acme/ml", "acme/ml/vision", "acme/ml/speech", "acme/ops", "acme/nobody")
    site.give(book(*((each, "100") for each in nodes)))
    found = {each.owner: Decimal(each.spent or "-1") for each in budgets(site.ledger).rows}
    assert found == dict(
        zip(nodes, map(Decimal, ("40.00", "17.50", "15.00", "10.00", "5.00", "2.50", "0.00")), strict=True)
    )
    assert (site.row("acme/ml").committed, site.row("*").committed) == ("15.00", "40.00")


def test_the_spend_of_a_closed_month_is_its_invoices(site: Site) -> None:
    """Charges, adjustments and corrections, as the documents have them; what waits counts where its bill begins."""
    site.hold(1, 1, 0, 4)
    site.hold(2, 2, 0, 2)
    add_adjustment(site.ledger, owner="vision", amount="-1.25", currency="EUR", by="ann", why="agreed")
    site.give(book(("acme/ml/vision", "100"), ("acme/ml", "100"), period="2026-05-01..2026-06-01"))
    before = [(row.owner, row.spent) for row in budgets(site.ledger).rows]
    assert before == [("acme/ml/vision", "8.75"), ("acme/ml", "13.75")]
    site.clock.us = START_US + 40 * US_PER_DAY
    close_period(site.ledger, parse_period("2026-05"), closed_by="ann", exception="tests")
    assert [(row.owner, row.spent) for row in budgets(site.ledger).rows] == before
    billed = {row.team: Decimal(row.cost or "0") for row in invoices(site.ledger).rows}
    assert (billed["vision"], billed["vision"] + billed["speech"]) == (Decimal("8.75"), Decimal("13.75"))
    site.hold(3, 1, 0, 1)  # late: on the next bill
    site.give(book(("acme/ml", "100"), period="2026-05-01..2026-06-01") + book(("acme", "9"), period="2026-06"))
    may, june = budgets(site.ledger).rows
    assert (may.spent, june.spent) == ("13.75", "2.50")


def test_stages_are_recorded_once_with_their_audit_event(site: Site) -> None:
    """In order, with what was measured; evaluated again, or after a restart, there is nothing more to record."""
    site.give(book(("acme/ml", "10")))
    assert site.fired() == []
    site.hold(1, 1, 0, 2)
    assert site.fired() == ["notify at 50 % of actual"]
    site.hold(1, 1, 2, 5)
    assert site.fired() == ["notify at 80 % of actual", "hold at 100 % of actual", "block at 120 % of actual"]
    assert site.fired() == []
    site.ledger.close()
    site.ledger = Ledger.open(site.directory, clock=site.clock)
    assert site.fired() == []
    events = list(audit(site.ledger, None, act="budget.stage", actor="", limit=10).rows)[::-1]
    assert [row.subject for row in events] == ["acme/ml month EUR"] * 4
    assert {row.actor for row in events} == {"collector"}
    [told] = notices(site.ledger).rows
    assert (told.to, told.state, told.key) == ("ann", "waiting", "1-ann")
    assert told.title == "Budget of acme/ml for 2026-05: 50 % of actual spend"


def test_the_order_of_evaluations_and_data_does_not_matter(tmp_path: Path) -> None:
    """Whenever it is looked, the same stages are on record in the end, each once."""
    ends = set()
    for number, order in enumerate(permutations(range(3))):
        found = Site(tmp_path / str(number))
        found.give(book(("acme/ml", "10"), ("acme/ml/vision", "5")))
        for step, part in enumerate(order):
            found.hold(1, 1, part, part + 1)
            if (number + step) % 2:
                evaluate_budgets(found.ledger)
        evaluate_budgets(found.ledger)
        rows = ask(found.ledger, "SELECT budget, period, stage FROM budget_crossings ORDER BY ALL")
        ends.add(tuple(map(str, rows)))
        assert len(rows) == 4 + 1  # vision: 150 %; ml: 75 %
        found.ledger.close()
    assert len(ends) == 1


def test_late_data_of_a_month_that_has_ended_still_counts(site: Site) -> None:
    """For a day after it, or for as long as its bill waits; then it is looked at no more."""
    site.give(book(("acme/ml", "10")))
    may_ends_us = parse_period("2026-05").end_us
    site.clock.us = may_ends_us + 3 * HOUR
    assert site.fired() == []
    site.hold(1, 1, 0, 2)
    assert site.fired() == ["notify at 50 % of actual"]
    assert [row.period for row in budgets(site.ledger).rows] == ["2026-05", "2026-06"]
    site.clock.us = may_ends_us + 25 * HOUR
    site.hold(2, 1, 0, 4)
    assert site.fired() == []
    assert [row.period for row in budgets(site.ledger).rows] == ["2026-06"]


def test_an_approved_raise_counts_while_it_is_in_force(site: Site) -> None:
    """It ends a hold at once, and the hold is back when the raise is over; what was told is not told again."""
    site.give(book(("acme/ml", "10")))
    site.hold(1, 1, 0, 4)
    watch = BudgetWatch(site.ledger)
    assert watch.standing.at_us == 0
    assert len(watch.look()) == 3
    assert may_start(watch.standing, "acme/ml/vision").admission is Admission.HOLD
    assert watch.standing.limits[0].why == "10.00 of 10.00 EUR spent by acme/ml in 2026-05: 100 % is reached"
    rules = (
        '[[rule]]\nname = "r"\naction = "approval"\napprovals = [{ roles = ["finance"] }]\n'
        '[[approvers]]\nname = "bob"\nroles = ["finance"]\n'
    )
    import_rules(site.ledger, rules.encode(), "toml", source="r", imported_us=site.clock.us)
    wanted = Asked(
        kind="budget", owner="acme/ml", amount="5", currency="EUR", by="ann", why="deadline", to="2026-06-01"
    )
    number = request_approval(site.ledger, wanted)
    assert site.row("acme/ml").raised == "0.00"
    approve(site.ledger, number, by="bob")
    row = site.row("acme/ml")
    assert (row.limit, row.raised, row.spent, row.percent, row.action) == ("10.00", "5.00", "10.00", "66.7", "notify")
    assert watch.look() == []
    assert may_start(watch.standing, "acme/ml/vision").admission is Admission.ALLOW
    site.clock.us += HOUR
    withdraw(site.ledger, number, by="ann", why="not needed")
    assert watch.look() == []
    assert may_start(watch.standing, "acme/ml").admission is Admission.HOLD


def test_what_has_no_price_is_named_and_what_is_in_another_currency_is_not_added(site: Site) -> None:
    """Neither is zero: no stage is reached by it, and the answer says why."""
    site.hold(1, 1, 0, 4)
    site.give(book(("acme/ml", "10")).replace(b"EUR", b"USD"))
    row = site.row("acme/ml")
    assert (row.spent, row.forecast, row.percent) == (None, None, None)
    assert row.note == "billed in EUR, which is not added to USD"
    assert site.fired() == []
    prices(site.ledger, 'currency = "EUR"\n[[price]]\nmodel = "none"\nrate = "1"\n', at_us=START_US + 1)
    rate_dirty(site.ledger)
    site.give(book(("acme/ml", "10")))
    row = site.row("acme/ml")
    assert (row.spent, row.unpriced_gpu_hours, row.note) == (None, 4.0, "none of its time has a price")


def test_the_forecast_is_the_run_rate_of_what_was_seen(site: Site) -> None:
    """Four hours of data at 2.50 an hour: the rest of the month goes on so, and the limit has its day."""
    site.hold(1, 1, 0, 4)
    site.give(book(("acme/ml", "20")))
    left = (parse_period("2026-05").end_us - START_US) // HOUR
    row = site.row("acme/ml")
    assert row.forecast is not None
    assert Decimal(row.forecast) == Decimal("2.50") * left
    assert row.exhausted_at == iso(START_US + 8 * HOUR)


def test_time_that_nobody_watched_is_no_time_without_cost(site: Site) -> None:
    """Four hours seen, four unseen: the rate is that of the four, and the gap is not counted as if nothing was spent."""
    site.hold(1, 1, 0, 4)
    unseen = records("GPU-0001", START_US + 4 * HOUR, START_US + 8 * HOUR, state=State.UNOBSERVED)
    assert [each.code for each in site.ledger.ingest([frame(1, unseen)])] == [""]
    rate_dirty(site.ledger)
    site.give(book(("acme/ml", "20")))
    left = (parse_period("2026-05").end_us - START_US) // HOUR - 8
    row = site.row("acme/ml")
    assert Decimal(row.forecast or "0") == 10 + Decimal("2.50") * left
    assert row.exhausted_at == iso(START_US + 12 * HOUR)


def test_contracts_commit_the_whole_fleet_until_they_end(site: Site) -> None:
    """Three GPUs at 1.90 for two days more: committed is what is spent, and that."""
    site.hold(1, 1, 0, 4)
    text = (
        'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
        f'[[contract]]\nname = "lease"\ncluster = "other"\ngpus = 3\nrate = "1.90"\nfrom = {iso(START_US)}\nto = {iso(START_US + 52 * HOUR)}\n'
        '[[price]]\nmodel = "*"\ncontract = "lease"\nrate = "2"\n'
    )
    site.give(book(("*", "1000"), ("acme", "9"), stages="[]"))
    prices(site.ledger, text, at_us=START_US + 1)
    rate_dirty(site.ledger)
    spent, committed = (Decimal(getattr(site.row("*"), name)) for name in ("spent", "committed"))
    assert committed - spent == 3 * 48 * Decimal("1.90")
    assert site.row("acme").committed == site.row("acme").spent


def test_shares_that_owners_pay_for_commit_them_whether_used_or_not(site: Site) -> None:
    """Two GPUs of vision until the share ends, at the lowest price; of a share that the platform pays for, nothing."""
    site.hold(1, 1, 0, 4)
    nodes = ("*", "acme", "acme/ml", "acme/ml/vision", "acme/ml/speech")
    site.give(book(*((each, "1000") for each in nodes), stages='[{ at = 5, of = "committed" }]'))
    share = f'[[share]]\nteam = "vision"\ngpus = "2"\nto = {iso(START_US + 52 * HOUR)}\n'

    def committed() -> list[str | None]:
        return [site.row(each).committed for each in nodes]

    def shares(text: str) -> None:
        import_shares(site.ledger, text.encode(), "toml", source="s.toml", imported_us=site.clock.us)

    shares(share)
    assert committed() == ["10.00", "10.00", "10.00", "10.00", "0.00"]
    shares(f'idle = "owner"\n{share}')
    reserved = str(Decimal("10.00") + 2 * 48 * Decimal("2.50"))
    assert committed() == [reserved] * 4 + ["0.00"]
    assert site.fired() == ["notify at 5 % of committed"] * 4
    shares(f'idle = "owner"\n{share}[[share]]\nteam = "speech"\ngpus = "1"\nmodel = "none such"\n')
    assert committed() == [None, None, None, reserved, None]


def test_metrics_are_those_of_the_last_look(site: Site) -> None:
    """Limit with raises, spent and forecast in units of the currency; what is not known has no value."""
    site.hold(1, 1, 0, 4)
    site.give(book(("acme/ml", "20")) + book(("acme", "7")).replace(b"EUR", b"USD"))
    watch = BudgetWatch(site.ledger)
    watch.look()
    registry = CollectorRegistry()
    registry.register(FiguresCollector(ledger_figures(site.ledger, watch.placed), site.clock.us))
    mine = {"owner": "acme/ml", "period": "month", "currency": "EUR"}
    found = [registry.get_sample_value(f"gpuledger_budget_{name}", mine) for name in ("limit", "spent", "forecast")]
    left = (parse_period("2026-05").end_us - START_US) // HOUR
    assert found == [20.0, 10.0, 2.5 * left]
    theirs = {"owner": "acme", "period": "month", "currency": "USD"}
    assert registry.get_sample_value("gpuledger_budget_limit", theirs) == 7.0
    assert registry.get_sample_value("gpuledger_budget_spent", theirs) is None


def test_a_trial_stores_nothing_and_says_what_would_happen(site: Site) -> None:
    """Where budgets would stand, which stages at once."""
    site.hold(1, 1, 0, 4)
    found = try_budgets(site.ledger, book(("acme/ml", "12"), ("acme/mll", "1")), "toml", source="b.toml")
    assert (found.version, found.changed) == (1, True)
    assert found.rows[0].new_stages == ["notify at 50 % of actual", "notify at 80 % of actual"]
    assert found.warnings == ['budget 2: nothing was charged to "acme/mll" yet, and no owner rule names it']
    assert (budget_book(site.ledger).version, budgets(site.ledger).rows) == (None, [])


def test_the_book_is_kept_in_versions_and_the_same_file_is_none(site: Site) -> None:
    """An import is an event, and amounts change at the instant that the book says."""
    turn = f"{iso(START_US + 12 * HOUR)}"
    text = (
        f'[[budget]]\nowner = "acme"\nperiod = "month"\ncurrency = "EUR"\namount = "10"\nto = {turn}\n'
        f'[[budget]]\nowner = "acme"\nperiod = "month"\ncurrency = "EUR"\namount = "20"\nfrom = {turn}\n'
    ).encode()
    site.give(text)
    site.give(text)
    assert budget_book(site.ledger).version == 1
    assert [row.act for row in audit(site.ledger, None, act="budget.import", actor="", limit=5).rows] == [
        "budget.import"
    ]
    assert site.row("acme").limit == "10.00"
    site.clock.us = START_US + 12 * HOUR
    assert site.row("acme").limit == "20.00"
    site.give(EXAMPLE.read_bytes())
    assert (budget_book(site.ledger).version, len(budget_book(site.ledger).rows)) == (2, 4)


ONE = '[[budget]]\nowner = "acme"\nperiod = "month"\ncurrency = "EUR"\namount = "10"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no budget in it"),
        ('budget = "x"', "not a list of tables"),
        (ONE + "limit = 1", 'unknown key "limit"'),
        (ONE.replace('"10"', "10"), "need not be exact"),
        (ONE.replace('"10"', '"-1"'), "negative"),
        (ONE.replace('"10"', '"9999999999"'), "is over"),
        (ONE.replace("EUR", "EURO"), "not a currency code"),
        (ONE.replace("month", "fortnight"), "period"),
        (ONE.replace("month", "2026-01-01..2025-01-01"), "period"),
        (ONE.replace("month", "2026-01-01T00:30..2026-02-01"), "on the hour"),
        (ONE.replace("acme", "acme//x"), "not a path"),
        (ONE.replace("acme", "acme/research/vision/atlas"), "goes below teams"),
        (ONE + ONE, "entries 1 and 2 are both"),
        (ONE + "stages = [{ at = 0 }]", "per cent"),
        (ONE + "stages = [{ at = true }]", "at is"),
        (ONE + "stages = [{ at = 80 }, { at = 80 }]", "there twice"),
        (ONE + 'stages = [{ at = 80, do = "explode" }]', "is not known"),
        (ONE + 'stages = [{ at = 80, of = "promised" }]', "not known"),
        (ONE + "stages = 3", "not a list of tables"),
        (ONE + '[[quiet]]\nname = "ann"\nhours = "25:00..07:00"', "not two times"),
        (ONE + '[[quiet]]\nname = "ann"\nhours = "20:00..07:00"\nzone = "Europe/Berln"', "no time zone"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole(site: Site, text: str, words: str) -> None:
    """With the entry and the next step; nothing is kept."""
    with pytest.raises(BudgetBookError, match=words) as caught:
        site.give(text.encode())
    assert caught.value.hint
    assert budget_book(site.ledger).version is None


def test_an_address_in_the_place_of_a_name_is_not_repeated(site: Site) -> None:
    """It may have a password in it, and errors are logged."""
    text = ONE + 'stages = [{ at = 80, tell = ["mailto://user:hunter2@example.com"] }]'
    with pytest.raises(BudgetBookError) as caught:
        parse_budget_book(text.encode(), "toml", "b", site.ledger.calendar.days)
    assert "hunter2" not in str(caught.value)


def test_a_book_is_toml(site: Site) -> None:
    """CSV has no place for stages."""
    with pytest.raises((BudgetBookError, ConfigError)):
        import_budgets(site.ledger, b"owner\nacme\n", "csv", source="b.csv", imported_us=1)
