"""Settings of the agent: what can't be honoured is an error at the start, with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentSettings
from gpuledger.config import effective, load_config
from gpuledger.errors import ConfigError


def load(tmp_path: Path, text: str = "", **env: str) -> AgentSettings:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return load_config(AgentSettings, path, env)


def test_without_a_file_there_are_defaults() -> None:
    """An agent needs no settings to run against a collector on the same machine."""
    settings = load_config(AgentSettings, None, {})
    assert settings.interval_us == 10_000_000
    assert settings.max_gap_us == 30_000_000
    assert settings.collector.url == "http://127.0.0.1:8470"
    assert settings.exporter.port == 9470
    assert settings.node
    assert settings.name == settings.node


def test_every_section_can_be_set(tmp_path: Path) -> None:
    """Each section of the file reaches the settings."""
    settings = load(
        tmp_path,
        """
        [agent]
        node = "n1"
        cluster = "c"
        pool = "p"
        [sampling]
        interval_ms = 5000
        max_gap_ms = 20000
        [spool]
        directory = "/tmp/spool"
        seal_interval_s = 30
        [collector]
        url = "https://collector:8470"
        [exporter]
        host = "0.0.0.0"
        port = 0
        [nvml]
        library = "/opt/lib/libnvidia-ml.so.1"
        """,
    )
    assert (settings.name, settings.node, settings.agent.cluster, settings.agent.pool) == ("n1", "n1", "c", "p")
    assert (settings.interval_us, settings.max_gap_us, settings.seal_interval_us) == (5_000_000, 20_000_000, 30_000_000)
    assert settings.spool.directory == Path("/tmp/spool")
    assert settings.nvml.library == Path("/opt/lib/libnvidia-ml.so.1")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """A container is configured by its environment."""
    settings = load(tmp_path, '[agent]\nnode = "a"\n', GPULEDGER_AGENT_NODE="b", GPULEDGER_NVML_LIBRARY="/x.so")
    assert settings.node == "b"
    assert settings.nvml.library == Path("/x.so")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[sampling]\nintervall_ms = 1000\n", "intervall_ms", "interval_ms"),
        ('[sampling]\ninterval_ms = "10s"\n', "interval_ms", "plain number"),
        ("[sampling]\ninterval_ms = 7000\n", "every full minute", "divisor"),
        ("[sampling]\ninterval_ms = 10000\nmax_gap_ms = 5000\n", "max_gap_ms", "leave it out"),
        ("[sampling]\ninterval_ms = 0\n", "interval_ms", ""),
        ("[exporter]\nport = 70000\n", "port", ""),
        ('[simulation]\nscenario = "demo"\n', "node is missing", "name one"),
        ('[simulation]\nscenario = "demo"\nnode = "n"\n', "from is missing", "from ="),
        ('[simulation]\nscenario = "demo"\nnode = "n"\nfrom = 2026-01-01T00:00:00\n', "no time zone", "Z"),
        (
            '[simulation]\nscenario = "demo"\nnode = "n"\nfrom = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z\n',
            "not after from",
            "swap",
        ),
    ],
)
def test_what_cannot_be_honoured_is_an_error(tmp_path: Path, text: str, message: str, hint: str) -> None:
    """Unknown keys, wrong units and contradictions name the key and the way out."""
    with pytest.raises(ConfigError, match=message) as raised:
        load(tmp_path, text)
    assert hint in raised.value.hint


@pytest.mark.parametrize("interval_ms", [1_000, 30_000, 60_000, 120_000])
def test_intervals_that_meet_every_minute_are_taken(tmp_path: Path, interval_ms: int) -> None:
    """Divisors and multiples of a minute lie on a grid that meets minute boundaries."""
    assert load(tmp_path, f"[sampling]\ninterval_ms = {interval_ms}\n").sampling.interval_ms == interval_ms


def test_a_simulated_node_gives_the_agent_its_name(tmp_path: Path) -> None:
    """An agent of a scenario is the node that it plays."""
    text = '[simulation]\nscenario = "demo"\nnode = "train-1"\nfrom = 2026-01-01T00:00:00Z\n'
    settings = load(tmp_path, text)
    assert (settings.node, settings.name) == ("train-1", "train-1")


def test_the_token_is_read_from_its_file(tmp_path: Path) -> None:
    """The token stands in a file of its own; a file that is missing or empty is an error, not an anonymous agent."""
    secret = tmp_path / "token"
    settings = load(tmp_path, f'[collector]\ntoken_file = "{secret}"\n')
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.token()
    secret.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        settings.token()
    secret.write_text("abc\n")
    assert settings.token() == "abc"
    assert load(tmp_path).token() is None


def test_effective_settings_show_names_as_in_the_file(tmp_path: Path) -> None:
    """`--check-config` prints keys that can be written back."""
    shown = effective(load(tmp_path, "[simulation]\nfrom = 2026-01-01T00:00:00Z\n"))
    assert shown["simulation"]["from"].startswith("2026-01-01")
    assert "from_" not in shown["simulation"]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("collector", "timeout_s = inf"),
        ("agent", "shutdown_s = inf"),
        ("sampling", "interval_ms = 600000000000000000"),
        ("sampling", "max_gap_ms = 99999999999999"),
        ("spool", "seal_interval_s = 100000000000"),
        ("spool", "directory = '~nobody-of-that-name/spool'"),
    ],
)
def test_values_that_no_clock_or_disk_takes_are_refused(tmp_path: Path, section: str, line: str) -> None:
    """What would fail later, or keep days in memory, is named at the start."""
    with pytest.raises(ConfigError, match=rf"\[{section}\] {line.split(maxsplit=1)[0]}"):
        load(tmp_path, f"[{section}]\n{line}\n")
