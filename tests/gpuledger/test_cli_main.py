"""The command line: what it says without a command, how it refuses, and with which exit code it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gpuledger.cli.extras import EXTRAS, install_command, needs
from gpuledger.cli.main import main
from gpuledger.errors import ConfigError

TIMEOUT_S = 60


def gpuledger(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuledger.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=cwd,
        env={**os.environ, **env},
    )


def test_without_a_command_it_says_what_to_do_first(capsys: pytest.CaptureFixture[str]) -> None:
    """The first line of advice is the demo, and nothing failed."""
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.index("gpuledger demo") < out.index("gpuledger collector")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["chargeback", "--by", "colour"],
        ["chargeback", "--period", "2026-13"],
        ["chargeback", "--period", "2026-02-01..2026-01-01"],
        ["chargeback", "--url", "http://h", "--ledger", "d"],
        ["import", "jobs", "x", "--source", "cobol"],
        ["price", "import", "no-such-file.toml"],
        ["demo", "--days", "0"],
        ["demo", "--nodes", "99", "--simulated"],
    ],
)
def test_bad_usage_is_two_lines_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every refusal names what is wrong and the next step, on stderr, without a traceback."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error, hint = captured.err.strip().splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


def test_a_collector_that_is_down_is_a_failure_with_both_ways_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The hint names starting a collector and reading a ledger without one; the code is 1."""
    assert main(["chargeback", "--url", "http://127.0.0.1:9"]) == 1
    error = capsys.readouterr().err
    assert "no collector answers at http://127.0.0.1:9" in error
    assert "gpuledger collector" in error
    assert "--ledger" in error


def test_a_folder_without_a_ledger_is_refused_and_stays_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading never creates a ledger."""
    assert main(["chargeback", "--ledger", str(tmp_path)]) == 1
    assert "holds no ledger.duckdb" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_itself_leaves_with_its_code_and_no_traceback(tmp_path: Path) -> None:
    """As a process: the code reaches the shell, and stderr has two lines."""
    done = gpuledger("chargeback", "--period", "yesterday", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def test_output_cut_off_by_its_reader_is_no_traceback(tmp_path: Path) -> None:
    """`gpuledger | true` ends quietly."""
    command = f"{sys.executable} -m gpuledger.cli | true"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=tmp_path, check=False
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("process", ["agent", "collector"])
def test_check_config_prints_the_effective_settings(
    process: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file, and defaults for the rest, as one JSON document."""
    section = "[exporter]\nport = 0\n" if process == "agent" else "[server]\nport = 9000\n"
    config = tmp_path / "c.toml"
    config.write_text(section)
    assert main([process, "--config", str(config), "--check-config"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["exporter" if process == "agent" else "server"]["port"] == (0 if process == "agent" else 9000)


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake in a settings file never passes silently."""
    config = tmp_path / "c.toml"
    config.write_text("[server]\nprot = 1\n")
    assert main(["collector", "--config", str(config), "--check-config"]) == 2
    assert 'did you mean "port"?' in capsys.readouterr().err


def test_a_missing_extra_gives_the_command_that_installs_it() -> None:
    """Only modules that belong to the extra are explained away; any other missing module is a fault and stays one."""
    with pytest.raises(ConfigError) as caught, needs("collector", "the collector"):
        raise ModuleNotFoundError(name="duckdb")
    assert caught.value.hint.startswith("uv tool install 'gpuledger[collector]'")
    with pytest.raises(ModuleNotFoundError), needs("collector", "the collector"):
        raise ModuleNotFoundError(name="something_of_ours")


def test_install_commands_name_extras_that_exist() -> None:
    """The table of extras is that of the package."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert set(EXTRAS) == set(project["project"]["optional-dependencies"]) - {"all"}
    assert install_command("agent", "collector") == "uv tool install 'gpuledger[agent,collector]'"


def test_help_imports_no_room() -> None:
    """The command line is quick to answer: no area is loaded before a command needs it."""
    rooms = ("duckdb", "pyarrow", "polars", "streamlit", "pynvml", "agent", "collector")
    code = f"import sys; from gpuledger.cli.main import build_parser; build_parser(); print([m for m in {rooms} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout.strip() == "[]", done.stderr
