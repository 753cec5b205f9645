"""`share`, `quota`, `loans`: shares are imported from the command line, and what became of them is read there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

PERIOD = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"
SHARES = """
[[share]]
team = "vision"
gpus = 1
lends = false
[[share]]
team = "speech"
gpus = 1
loan_rate = "0.50"
"""


@pytest.fixture
def where(tmp_path: Path) -> tuple[str, ...]:
    """Return the flags of a ledger with an hour in which vision holds three of four GPUs."""
    until_us = START_US + US_PER_HOUR
    usage = [
        each for n in range(4) for each in records(f"GPU-{n:04d}", START_US, until_us, "pod:uid-0/c" if n else None)
    ]
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, usage)])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.00"\n')
        owners(
            ledger,
            "".join(
                f'[[owner]]\nteam = "{t}"\nmatch.namespace = "team-{n}"\n' for n, t in enumerate(("vision", "speech"))
            ),
        )
    (tmp_path / "shares.toml").write_text(SHARES)
    return "--ledger", str(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_shares_are_imported_and_use_is_held_against_them(
    where: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Import says which version it is; the tables say who is above, who lent, for how much, and what was nobody's."""
    assert "No team has a share yet" in run(capsys, "share", "use", *where, "--period", PERIOD, "--format", "table")
    said = run(capsys, "share", "import", f"{where[1]}/shares.toml", *where, "--format", "table")
    assert said == "Share book is now version 1 (2 shares).\n"
    listed = run(capsys, "share", "list", *where, "--format", "table")
    assert "yes, for 0.50 a GPU-hour" in listed
    shown = run(capsys, "share", "use", *where, "--period", PERIOD, "--format", "table")
    assert "1.00 GPU-hours above shares were of capacity that nobody owns." in shown
    loan = run(capsys, "loans", *where, "--period", PERIOD, "--format", "table")
    assert "Vision" in loan
    assert "Speech" in loan
    assert "0.50" in loan
    assert json.loads(run(capsys, "loans", *where, "--period", PERIOD, "--format", "json"))["gpu_hours"] == 1.0
    rows = run(capsys, "share", "use", *where, "--period", PERIOD, "--format", "csv").splitlines()
    assert rows[0].startswith("cluster,pool,model,organisation,department,team,share_gpus")
    assert len(rows) == 3


def test_a_bad_share_file_says_where(where: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of a failure, and the place and the next step stand on standard error."""
    path = Path(where[1]) / "bad.toml"
    path.write_text('[[share]]\nteam = "vision"\ngpus = "0.33"\n')
    assert main(["share", "import", str(path), *where]) != 0
    said = capsys.readouterr().err
    assert "bad.toml: entry 1: gpus '0.33'" in said
    assert "hint:" in said or "steps of 1/840" in said


def test_quotas_of_a_scheduler_become_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The draft is on standard output and imports as it is; what is no share is said beside it."""
    source = tmp_path / "assoc.txt"
    source.write_text("Cluster|Account|User|Partition|GrpTRES\nc|vision|||gres/gpu=16\nc|vision|ana||gres/gpu=2\n")
    assert main(["share", "convert", str(source), "--source", "slurm"]) == 0
    draft, said = capsys.readouterr()
    assert 'team = "vision"\ngpus = "16"\ncluster = "c"' in draft
    assert "not a share: line 3: account vision: a limit of user ana" in said
    (tmp_path / "draft.toml").write_text(draft)
    assert main(["share", "import", str(tmp_path / "draft.toml"), "--ledger", str(tmp_path / "ledger")]) == 0
