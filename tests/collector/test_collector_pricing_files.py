"""Price and owner files: what they hold, and for each mistake the line or entry and the next step."""

from __future__ import annotations

import pytest

from collector.pricing.fields import MAX_MODEL
from collector.pricing.files import parse_owner_map, parse_price_book
from collector.pricing.records import file_format
from gpuledger.accounting.commitments import Contract
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.periods import parse_instant
from gpuledger.accounting.pricebook import PriceBook
from gpuledger.errors import ConfigError, OwnerMappingError, PriceBookError

TOML = """
currency = "EUR"
[[price]]
model = "NVIDIA H100 80GB HBM3"
rate = "2.49"
from = 2026-01-01T00:00:00Z
to = 2026-07-01
carbon_g_per_kwh = "380.5"
[[price]]
model = "NVIDIA A100*"
mig_profile = "1g.5gb"
pool = "spot"
cluster = "c1"
rate = "0.000000001"
"""
CSV = """currency,model,mig_profile,pool,cluster,rate,from,to,carbon_g_per_kwh
EUR,NVIDIA H100 80GB HBM3,,,,2.49,2026-01-01T00:00:00Z,2026-07-01,380.5
EUR,NVIDIA A100*,1g.5gb,spot,c1,0.000000001,,,
"""
OWNERS = """
[[owner]]
team = "vision"
department = "research"
organisation = "acme"
match.namespace = "vision-*"
match.label.app = "train"
from = 2026-01-01T00:00:00
[[owner]]
team = "{team_claim}"
match.team_claim = "*"
"""
OWNERS_CSV = """team,department,organisation,match.namespace,match.label.app,match.team_claim,from
vision,research,acme,vision-*,train,,2026-01-01T00:00:00
{team_claim},,,,,*,
"""


def test_entries_name_owners_and_contracts_that_hold_to_the_second() -> None:
    """An entry may be for what an owner holds or a contract covers; a contract has what is committed, at what rate."""
    text = f"""{LEASE}currency = "EUR"
to = 2026-07-01T09:30:01Z
vendor = "rent-a-rack"
node = "gpu-*"
mig_profile = "1g.*"
[[price]]
model = "*"
contract = "lease-a"
team = "vision"
project = "ads"
rate = "2"
from = 2026-02-03T04:05:06Z
"""
    text = text.replace(LEASE + 'currency = "EUR"', 'currency = "EUR"\n' + LEASE)
    book = parse_price_book(text.encode(), "toml", "prices.toml")
    [found] = book.entries
    assert (found.contract, found.owner) == ("lease-a", Owner("", "", "vision", "ads"))
    assert found.from_us == parse_instant("2026-02-03T04:05:06Z")
    assert book.contracts == (
        Contract(
            "lease-a", "c1", 8, 1_900_000_000, vendor="rent-a-rack", node="gpu-*", mig_profile="1g.*",
            from_us=parse_instant("2026-01-01"), to_us=parse_instant("2026-07-01T09:30:01Z"),
        ),
    )  # fmt: skip


def test_both_formats_hold_the_same_book() -> None:
    """A price book in TOML and the same in CSV are one book, exact to the ninth decimal."""
    book = parse_price_book(TOML.encode(), "toml", "prices.toml")
    assert parse_price_book(b"\xef\xbb\xbf" + CSV.encode(), "csv", "prices.csv").entries == book.entries
    assert book.currency == "EUR"
    assert [entry.rate_quanta for entry in book.entries] == [2_490_000_000, 1]
    assert book.entries[0].validity == (parse_instant("2026-01-01"), parse_instant("2026-07-01"))
    assert book.entries[1].validity == (None, None)
    assert str(book.entries[0].carbon_g_per_kwh) == "380.5"


def test_both_formats_hold_the_same_rules() -> None:
    """An owner mapping in TOML and the same in CSV are one, in the order of the file."""
    rules = parse_owner_map(OWNERS.encode(), "toml", "owners.toml").rules
    assert parse_owner_map(OWNERS_CSV.encode(), "csv", "owners.csv").rules == rules
    assert rules[0].owner == Owner("acme", "research", "vision", "")
    assert dict(rules[0].match) == {"namespace": "vision-*", "label.app": "train"}
    assert rules[0].from_us == parse_instant("2026-01-01")
    assert rules[1].owner.team == "{team_claim}"


def entry(*lines: str, head: str = 'currency = "EUR"') -> bytes:
    return "\n".join([head, "[[price]]", *lines]).encode()


LEASE = '[[contract]]\nname = "lease-a"\ncluster = "c1"\ngpus = 8\nrate = "1.90"\nfrom = 2026-01-01T00:00:00Z\n'
TEAM = 'team = "a"'
MODEL, RATE = 'model = "m"', 'rate = "1"'


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        (b"", "no price in it", "[[price]]"),
        (b'currency = "EUR"', "no price in it", "[[price]]"),
        (b"currency = EUR", "not valid TOML: Invalid value (at line 1, column 12)", "[[price]]"),
        (b"\xff", "line 1: not UTF-8", "UTF-8"),
        (entry(MODEL, RATE, head=""), "currency is missing", 'currency = "EUR"'),
        (entry(MODEL, RATE, head='currency = "euro"'), "'euro' is not a currency code", 'did you mean "EUR"?'),
        (entry(MODEL, RATE, head='curency = "EUR"'), 'unknown key "curency"', 'did you mean "currency"?'),
        (entry(RATE), "entry 1: model is missing", "needs a model and a rate"),
        (entry(MODEL), "entry 1: rate is missing", "needs a model and a rate"),
        (entry(MODEL, RATE, 'profile = "1g"'), 'unknown key "profile"', 'did you mean "mig_profile"?'),
        (entry(MODEL, "rate = 2.49"), "rate is 2.49, a number that need not be exact", 'rate = "2.49"'),
        (entry(MODEL, 'rate = "2,49"'), 'rate "2,49" is not a decimal number', "2.49"),
        (entry(MODEL, 'rate = "-1"'), 'rate "-1" is negative', "zero or more"),
        (entry(MODEL, 'rate = "0.0000000001"'), "has 10 decimals", "at most 9"),
        (entry(MODEL, 'rate = "1000001"'), "over 1000000 an hour", "per GPU and hour"),
        (entry("model = 5", RATE), "model is not text: 5", 'model = "5"'),
        (entry(f'model = "{"*a" * 200}"', RATE), "model is not one line of at most 128", "a quote missing"),
        (entry('model = "a\\u0000"', RATE), "model is not one line of at most 128", "a quote missing"),
        (entry(MODEL, RATE, "from = 2026-01-01T00:30:00.5Z"), "not a whole second", "2026-01-01T00:30:00Z"),
        (entry(MODEL, RATE, 'contract = "lease-b"', LEASE), 'contract "lease-b", which there is not', '"lease-a"'),
        (entry(MODEL, RATE, 'contract = "lease-a"'), "which there is not", "[[contract]] name"),
        (entry(MODEL, RATE, LEASE, LEASE), 'two contracts are called "lease-a"', "rename one"),
        (
            entry(MODEL, RATE, LEASE.replace("gpus = 8", "gpus = 0")),
            "gpus 0 is not a whole number",
            "leave the contract",
        ),
        (entry(MODEL, RATE, LEASE.replace("gpus = 8", "gpus = 2.5")), "gpus 2.5 is not a whole", "how many GPUs"),
        (entry(MODEL, RATE, LEASE.replace("gpus = 8\n", "")), "gpus is missing", "cluster"),
        (entry(MODEL, RATE, LEASE.replace('cluster = "c1"\n', "")), "cluster is missing", "[[contract]] name"),
        (entry(MODEL, RATE, LEASE.replace("from", "to")), "from is missing", "a commitment begins"),
        (entry(MODEL, RATE, LEASE.replace('"1.90"', '"-1.90"')), 'rate "-1.90" is negative', "zero or more"),
        (entry(MODEL, RATE, LEASE.replace('"1.90"', "1.90")), "need not be exact", '"1.9"'),
        (entry(MODEL, RATE, LEASE, 'currency = "UDS"'), "not a currency code", '"USD"'),
        (entry(MODEL, RATE, LEASE, 'currency = "USD"'), "without exchange_rate", "exchange_source"),
        (entry(MODEL, RATE, LEASE, 'team = "vision"'), 'unknown key "team"', "known keys"),
        (entry(MODEL, RATE, LEASE, "to = 2025-01-01T00:00:00Z"), "before or where it starts", "first instant"),
        (b'contract = 5\ncurrency = "EUR"\n[[price]]\nmodel = "m"\nrate = "1"', "not a list of tables", "[[contract]]"),
        (entry(MODEL, RATE, TEAM, "[[price]]", MODEL, RATE, TEAM), 'overlap: both apply to model "m", team "a"', "end"),
        (
            entry(MODEL, RATE, 'contract = "lease-a"', "[[price]]", MODEL, RATE, 'contract = "lease-a"', LEASE),
            'overlap: both apply to model "m", contract "lease-a"',
            "end the earlier one",
        ),
        (
            entry(MODEL, RATE, "from = 2026-01-02", "to = 2026-01-02"),
            "ends (2026-01-02T00:00:00Z) before",
            "first instant",
        ),
        (entry(MODEL, RATE, 'from = "soon"'), '"soon" is not an ISO 8601', "2026-01-01T00:00:00Z"),
        (entry(MODEL, RATE, "from = 5"), "from is not a time: 5", "2026-01-01T00:00:00Z"),
        (entry(MODEL, RATE, "[[price]]", MODEL, RATE), "entries 1 and 2 overlap", "end the earlier one"),
    ],
)
def test_a_mistake_in_a_price_file_is_named(content: bytes, says: str, hint: str) -> None:
    """Each mistake names the file, the place and what is wrong, and hints at the next step."""
    with pytest.raises(PriceBookError) as caught:
        parse_price_book(content, "toml", "prices.toml")
    assert caught.value.message.startswith("prices.toml: ")
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("currency,model,rate\n", "no price in it"),
        ("currency,model,rate,colour\nEUR,m,1,\n", 'line 1: unknown key "colour"'),
        ("currency,model,rate\nEUR,m,1\nEUR,n\n", "line 3: the line has not as many fields"),
        ("currency,model,rate\nEUR,m,1\nUSD,n,1\n", "line 3: currency USD beside EUR"),
        ("model,rate\nm,1\n", "line 2: currency: '' is not a currency code"),
        ("currency,model,rate\nEUR,m,-2\n", 'line 2: rate "-2" is negative'),
        ('currency,model,rate\nEUR,"m,1\n', "not valid CSV"),
        ("currency,model,model,rate\nEUR,m,m,1\n", "line 1: a column appears twice"),
    ],
)
def test_a_mistake_in_a_csv_file_is_named_by_its_line(content: str, says: str) -> None:
    """A CSV file's mistakes carry line numbers as an editor counts them."""
    with pytest.raises(PriceBookError) as caught:
        parse_price_book(content.encode(), "csv", "prices.csv")
    assert says in caught.value.message


def rule(*lines: str) -> bytes:
    return "\n".join(["[[owner]]", *lines]).encode()


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        (b"", "no owner rule in it", "[[owner]]"),
        (rule('match.namespace = "x"'), "entry 1: team is missing", "needs a team"),
        (rule('team = "a"'), "the rule matches nothing in particular", 'match.kind = "*"'),
        (rule('team = "a"', 'match.namspace = "x"'), 'unknown key "match.namspace"', '"match.namespace"'),
        (rule('team = "a"', 'match.user = ""'), "match.user is missing", ""),
        (rule('team = "a"', 'match.label = "x"'), 'unknown key "match.label"', "match.label.<name>"),
        (
            rule('team = "{user}"', 'match.kind = "*"'),
            'takes "{user}", which the rule does not match',
            'match.user = "*"',
        ),
        (rule('team = "a"', 'match.user = "x"', "to = 2026-01-01T01:01:00Z"), "not on the hour", "01:00:00Z"),
    ],
)
def test_a_mistake_in_an_owner_file_is_named(content: bytes, says: str, hint: str) -> None:
    """Owner files have errors of their own, as precise."""
    with pytest.raises(OwnerMappingError) as caught:
        parse_owner_map(content, "toml", "owners.toml")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_the_format_is_told_by_name_or_media_type() -> None:
    """A file's ending or a request's content type says how to read it; anything else is refused."""
    found = [
        file_format(name) for name in ("a/prices.TOML", "owners.csv", "text/csv; charset=utf-8", "application/toml")
    ]
    assert found == ["toml", "csv", "csv", "toml"]
    with pytest.raises(ConfigError, match="neither TOML nor CSV"):
        file_format("prices.xlsx")


def test_the_longest_patterns_can_be_held_against_each_other() -> None:
    """Two globs of the greatest length are told apart, or found to overlap, and never end the reader."""
    half = MAX_MODEL // 2
    first, apart, overlapping = "*a" * half, "*b" * half, "*b" * (half - 1) + "*a"

    def read(*patterns: str) -> PriceBook:
        lines = [line for pattern in patterns for line in ("[[price]]", f'model = "{pattern}"', RATE)]
        return parse_price_book(entry(*lines[1:]), "toml", "prices.toml")

    assert len(read(first, apart).entries) == 2
    with pytest.raises(PriceBookError, match="overlap"):
        read(first, overlapping)
