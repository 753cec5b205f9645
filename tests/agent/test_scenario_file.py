"""Scenario files: what is wrong in one is said with the nearest right word, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.devices.simulated.scenario import Scenario, load
from agent.devices.simulated.scenario_file import SCENARIOS, parse_scenario, parse_time_us
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import ConfigError

BASE = """
name = "tiny"
cluster = "lab"
length = "2h"

[[team]]
name = "vision"

[[node]]
name = "n1"
pool = "p"
boards = [
  { capture = "h100-sxm", count = 2 },
  { capture = "a100-40gb", mig = [{ profile = "3g.20gb", index = 0 }, { profile = "1g.5gb", index = 4 }] },
]
"""

WORK = """
[[workload]]
name = "train"
team = "vision"
kind = "training"
platform = "kubernetes"
namespace = "vision-train"
duration = "1h"
"""


def scenario(text: str) -> Scenario:
    """Return the scenario that BASE and `text` make."""
    return Scenario(parse_scenario(BASE + text, "tiny.toml"))


def refusal(text: str) -> ConfigError:
    """Return the error that BASE and `text` raise."""
    with pytest.raises(ConfigError) as caught:
        scenario(text)
    return caught.value


@pytest.mark.parametrize("name", ["demo", "small"])
def test_scenarios_that_come_with_the_agent_load(name: str) -> None:
    """Every scenario in the folder is found by its name, and by its path."""
    assert load(name).file.name == name
    assert load(SCENARIOS / f"{name}.toml").file == load(name).file


def test_unknown_scenario_names_the_known_ones(tmp_path: Path) -> None:
    """A scenario that is not there is an error which lists those that are."""
    with pytest.raises(ConfigError) as caught:
        load("dmeo")
    assert "demo" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot read scenario"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("sed = 3\n", 'unknown key "sed"', '"seed"'),
        (WORK + 'on = ["n1/0"]\nmemory_mb = 5\n', 'unknown key "memory_mb" of workload train', '"memory_mib"'),
        (
            WORK + 'on = ["n1/0"]\nactivity = { shpe = "none" }\n',
            'unknown key "shpe" of workload train of activity',
            "shape",
        ),
        ('[[outage]]\nnode = "n1"\nform = "1h"\nto = "2h"\n', 'unknown key "form"', '"from"'),
    ],
)
def test_unknown_keys_name_the_nearest(text: str, message: str, hint: str) -> None:
    """A key that no table has is an error that names its place and the nearest known key."""
    error = refusal(text) if text.startswith(("\n", "[[")) else _refused_at_top(text)
    assert message in error.message
    assert hint in error.hint


def _refused_at_top(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text + BASE, "tiny.toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WORK + 'on = ["n2/0"]\n', 'no node "n2"'),
        (WORK + 'on = ["n1/7"]\n', "boards 0 to 2"),
        (WORK + 'on = ["n1/2"]\n', "n1/2 is no device"),
        (WORK + 'on = ["n1/2/1"]\n', "n1/2/1 is no device"),
        (WORK + 'on = ["n1/0/0"]\n', "n1/0/0 is no device"),
        (WORK + 'on = ["n1"]\n', "names no device"),
        (WORK, "names both devices and a pool, or neither"),
        (WORK + 'pool = "q"\ngpus = 1\n', 'no node is in pool "q"'),
        (WORK + 'pool = "p"\ngpus = 3\n', "no node of p has 3 boards"),
        (WORK + 'on = ["n1/0"]\ngpus = 2\n', "wants 2 of 1 devices"),
        (WORK + 'on = ["n1/0"]\nteam = "language"\n', "is not TOML"),
        (WORK.replace('team = "vision"', 'team = "visoin"') + 'on = ["n1/0"]\n', 'no team "visoin"'),
        (WORK.replace("namespace", "#") + 'on = ["n1/0"]\n', 'has no "namespace"'),
        (WORK + 'on = ["n1/0"]\nenviron = { HOME = "/root" }\n', "no agent reads HOME"),
        (WORK + 'on = ["n1/0"]\nactivity = { level = 120 }\n', "<= 100"),
        (WORK.replace('"1h"', '"0h"') + 'on = ["n1/0"]\n', "lasts no time"),
        (WORK.replace('"1h"', '"an hour"') + 'on = ["n1/0"]\n', '"an hour" is not a time'),
        (WORK + 'on = ["n1/0"]\n' + WORK + 'on = ["n1/0"]\n', 'two entries of workload are called "train"'),
        ('[[fault]]\ndevice = "n1/0"\nat = "2h"\nxid = 79\nlost_until = "1h"\n', "ends before it starts"),
        ('[[fault]]\ndevice = "n1/0-1"\nat = "2h"\nxid = 79\n', "strikes 2 boards"),
        ('[[outage]]\nnode = "n1"\nfrom = "1h"\nto = "1h"\n', "whole minute"),
        ('[[outage]]\nnode = "n1"\nfrom = "1h"\nto = "1h 30s"\n', "whole minute"),
        ('[[outage]]\nnode = "n9"\nfrom = "1h"\nto = "2h"\n', 'no node "n9"'),
        (
            '[[outage]]\nnode = "n1"\nfrom = "1h"\nto = "2h"\n[[reload]]\nnode = "n1"\nat = "90m"\n',
            "during an outage",
        ),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    """Devices, teams, times and holders that do not exist are errors of loading, not of running."""
    with pytest.raises(ConfigError) as caught:
        scenario(text)
    assert message in str(caught.value)
    assert caught.value.hint


def test_mig_layouts_that_a_board_cannot_have_are_refused() -> None:
    """A profile that the capture does not know, too many slices, or an index twice are errors."""
    for old, new, message in (
        ("1g.5gb", "1g.6gb", "no MIG profile"),
        ("1g.5gb", "7g.40gb", "more than 7 compute slices"),
        ("index = 4", "index = 0", "same index"),
        ("a100-40gb", "t4", "no MIG profile"),
        ("h100-sxm", "h100", "no capture is called"),
    ):
        with pytest.raises(ConfigError, match=message):
            Scenario(parse_scenario(BASE.replace(old, new), "tiny.toml"))


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("90m", 90 * US_PER_MINUTE),
        ("2d 09:30", 2 * US_PER_DAY + 9 * US_PER_HOUR + 30 * US_PER_MINUTE),
        ("1d 4h 30m 15s", US_PER_DAY + 4 * US_PER_HOUR + 30 * US_PER_MINUTE + 15 * US_PER_SECOND),
        ("00:00:05", 5 * US_PER_SECOND),
        ("0d", 0),
    ],
)
def test_times_are_read(text: str, expected_us: int) -> None:
    """Days, durations and hours of the day add up."""
    assert parse_time_us(text, "here") == expected_us


@pytest.mark.parametrize("text", ["", " ", "5", "1.5h", "-1h", "1d 25", "10:5"])
def test_other_times_are_refused(text: str) -> None:
    """Anything else is an error that says where it stands."""
    with pytest.raises(ConfigError, match="here"):
        parse_time_us(text, "here")


def test_each_run_has_the_identifier_that_its_tool_gave_it() -> None:
    """Replicas of a run share it, runs do not, and the same plan gives the same ones; other braces stay as they are."""
    marks = '{ MLFLOW_RUN_ID = "{hex}", PREFECT__FLOW_RUN_ID = "{uuid}", WANDB_NAME = "n-{run}-{replica} {x}" }'
    text = WORK + f'on = ["n1/0", "n1/1"]\ngpus = 1\nreplicas = 2\nevery = "2h"\nenviron = {marks}\n'
    first, second = ([each.facts[0].environ for each in scenario(text).at(0, 1).tenants[:4]] for _ in range(2))
    assert first == second
    assert [each["WANDB_NAME"] for each in first] == ["n-0-0 {x}", "n-0-1 {x}", "n-1-0 {x}", "n-1-1 {x}"]
    identifiers = [(each["MLFLOW_RUN_ID"], each["PREFECT__FLOW_RUN_ID"]) for each in first]
    assert identifiers[0] == identifiers[1] != identifiers[2] == identifiers[3]
    assert all(len(run) == 32 and uuid.replace("-", "") == run for run, uuid in identifiers)
