"""`gpuledger token`: made, listed and revoked, over HTTP and in a folder; commands find the token that they need."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.app import running
from gpuledger.cli.main import main
from gpuledger.tokens import read_token
from tests.collector.test_collector_api import settings


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running(settings(tmp_path / "ledger")) as found:
        yield found


def listed(capsys: pytest.CaptureFixture[str], *where: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["token", "list", *where, "--format", "json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)["rows"]
    return rows


def test_a_token_is_printed_alone_and_opens_what_its_role_may(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it goes on into a file; with it a viewer reads, and makes no tokens."""
    assert main(["token", "create", "--url", url, "--role", "viewer", "--team", "*", "--name", "ann"]) == 0
    said = capsys.readouterr()
    path = tmp_path / "ann"
    path.write_text(said.out)
    assert said.out.count("\n") == 1
    assert "ann, viewer of *, until it is revoked" in said.err
    assert main(["price", "list", "--url", url, "--token-file", str(path)]) == 0
    assert main(["token", "list", "--url", url, "--token-file", str(path)]) == 1
    assert "may not make and revoke tokens" in capsys.readouterr().err
    [row] = [row for row in listed(capsys, "--url", url) if row["name"] == "ann"]
    assert main(["token", "revoke", str(row["token"]), "--url", url, "--why", "left"]) == 0
    assert main(["price", "list", "--url", url, "--token-file", str(path)]) == 1
    assert "needs a token" in capsys.readouterr().err


def test_a_token_goes_into_a_file_for_its_user_only(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nowhere else."""
    path = tmp_path / "join"
    given = ["--url", url, "--role", "join", "--uses", "3", "--expires", "30d", "--out", str(path)]
    assert main(["token", "create", *given]) == 0
    assert capsys.readouterr().out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(path).startswith("gpuledger_")
    assert [row["uses"] for row in listed(capsys, "--url", url)][-1] == 3
    assert main(["token", "list", "--url", url, "--format", "table"]) == 0
    assert "0 of 3" in capsys.readouterr().out


def test_who_may_open_the_folder_is_the_administrator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where all tokens were lost: with no collector on it, the folder is enough."""
    with running(settings(tmp_path)):
        pass
    where = ["--ledger", str(tmp_path)]
    assert main(["token", "create", *where, "--role", "admin", "--name", "again"]) == 0
    secret = capsys.readouterr().out.strip()
    assert [row["name"] for row in listed(capsys, *where)] == ["admin", "join", "viewer", "again"]
    assert main(["token", "revoke", "1", *where]) == 0
    with running(settings(tmp_path)) as url:
        path = tmp_path / "again"
        path.write_text(secret)
        assert listed(capsys, "--url", url, "--token-file", str(path))[0]["state"] == "revoked"


@pytest.mark.parametrize(
    "given", [["--role", "king"], ["--role", "viewer"], ["--role", "admin", "--expires", "soon"], ["--role", "agent"]]
)
def test_what_makes_no_sense_is_refused(url: str, capsys: pytest.CaptureFixture[str], given: list[str]) -> None:
    """With the next step."""
    assert main(["token", "create", "--url", url, *given]) in (1, 2)
    assert "hint:" in capsys.readouterr().err
