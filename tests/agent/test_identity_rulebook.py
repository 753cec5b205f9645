"""A site's rules go over the built-in ones, are checked strictly, and take effect while the agent runs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agent.holders.pods import InMemoryPods
from agent.holders.processes import ProcFs, boot_instant_us
from agent.holders.resolve import HolderResolver
from agent.identity.identify import Identifier
from agent.identity.rulebook import RuleBook, built_in, load_table
from gpuledger.errors import ConfigError
from tests.agent.identities import started

OURS = """
[rules.lab-run]
system = "labtool"
scope = "run"
level = "run"
id = "{env:LABTOOL_RUN}"
"""


def site(directory: Path, text: str) -> Path:
    path = directory / "rules.toml"
    path.write_text(text)
    return path


def test_the_built_in_table_knows_every_system() -> None:
    """Whatever the agent is said to recognise has rules."""
    systems = {rule.system.source for rule in built_in().rules}
    assert systems >= {
        "airflow", "argo", "bentoml", "dagster", "deepspeed", "dvc", "feast", "jobset", "jupyter", "jupyterhub", "katib",
        "kfp", "knative", "kserve", "kubeflow", "kueue", "lws", "mlflow", "prefect", "ray", "seldon", "slurm", "tgi",
        "torchrun", "triton", "vllm", "volcano", "wandb", "yatai",
    }  # fmt: skip


def test_a_new_rule_comes_first_within_its_level(tmp_path: Path) -> None:
    """What a site adds is more specific to it than what everybody has."""
    table = load_table((site(tmp_path, OURS),))
    assert [rule.key for rule in table.rules][:2] == ["lab-run", "mlflow-run"]
    assert "LABTOOL_RUN" in table.keys("env")


def test_a_rule_is_changed_key_by_key_or_switched_off(tmp_path: Path) -> None:
    """An entry with a known name keeps what the site does not say."""
    text = '[rules.mlflow-run]\nname = "x{env:MLFLOW_RUN_ID}"\n[rules.dvc-stage]\nenabled = false\n[claims.team-label]\nteam = "{label:squad}"\n'
    table = load_table((site(tmp_path, text),))
    rules = {rule.key: rule for rule in table.rules}
    assert rules["mlflow-run"].names[0].source == "x{env:MLFLOW_RUN_ID}"
    assert rules["mlflow-run"].ids[0].source == "{env:MLFLOW_RUN_ID}"
    assert "dvc-stage" not in rules
    assert table.claims[0].team.source == "{label:squad}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = [", "is not TOML"),
        ("[levels]\na = 1", r"unknown section \[levels\]"),
        ("[rules]\nx = 3", "has no names"),
        ("[[rules]]\nsystem = 'x'", "has no names"),
        (OURS.replace("scope", "scoop"), "rules"),
        (
            OURS.replace('"run"\nid', '"runs"\nid'),
            r'\[rules.lab-run\] in .*rules.toml: level "runs" is none of run, .*mean "run"',
        ),
        (OURS.replace("env:LABTOOL_RUN", "environ:LABTOOL_RUN"), 'no kind of fact "environ"'),
        (OURS.replace("env:LABTOOL_RUN", "LABTOOL_RUN"), "neither a fact nor a group"),
        (OURS.replace("{env:LABTOOL_RUN}", "{env:LABTOOL_RUN"), "braces do not pair up"),
        (OURS.replace("{env:LABTOOL_RUN}", "[{env:A}"), "bracket is not closed"),
        (OURS.replace("{env:LABTOOL_RUN}", "[a[b]]"), "brackets do not pair up"),
        (OURS.replace("LABTOOL_RUN", "LABTOOL_API_KEY"), "LABTOOL_API_KEY may hold a secret"),
        (OURS.replace("env:LABTOOL_RUN", "pod:uuid"), "pod:uuid names nothing"),
        (OURS + "when = { command = '(' }", "not a regular expression"),
        (OURS.replace("lab-run", "Lab_Run"), "small letters"),
        (OURS.replace("{env:LABTOOL_RUN}", "always"), "would match every process"),
        (OURS.replace("{env:LABTOOL_RUN}", "x[{env:LABTOOL_RUN}]"), "would match every process"),
        (OURS.replace("env:LABTOOL_RUN", "child:labtool"), "only what that captures is kept"),
        ("[claims.x]\ntier = 'controller'\nteam = 'always'", "names no fact"),
        ("[claims.x]\ntier = 'boss'\nteam = '{label:x}'", 'tier "boss" is none of pod label'),
        ("[claims.x]\ntier = 'claim'\nteam = '{t}'\nwhen = {command = '(?P<t>x)'}", "not read from a command line"),
        ("[unpack.X]\nencoding = 'xml'\nfields = ['a']", 'encoding "xml" is none of json'),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file, the entry and what is wrong in it, and never quotes a traceback."""
    with pytest.raises(ConfigError, match=message) as raised:
        load_table((site(tmp_path, text),))
    assert raised.value.hint


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """A path that is named and missing is a mistake, not an empty table."""
    with pytest.raises(ConfigError, match="cannot read"):
        RuleBook([tmp_path / "no.toml"])


def test_an_edit_takes_effect_while_the_agent_runs(tmp_path: Path) -> None:
    """A file that changes, or is replaced by another, is read again; one that stays is not."""
    path = site(tmp_path, OURS)
    book = RuleBook([path])
    identifier = Identifier(book)
    assert not book.refresh()
    replacement = tmp_path / "new.toml"
    replacement.write_text(OURS.replace("labtool", "labtool2"))
    replacement.replace(path)
    assert identifier.refresh()
    assert book.generation == 1
    assert not book.refresh()
    facts = started()._replace(environ={"LABTOOL_RUN": "7"})
    workload = identifier.identify(facts).workload
    assert workload is not None
    assert workload.system == "labtool2"


def test_a_broken_edit_keeps_the_last_good_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and said once; the next good edit is taken."""
    path = site(tmp_path, OURS)
    book = RuleBook([path])
    with caplog.at_level(logging.ERROR):
        path.write_text(OURS + "[rules.lab-run]")
        assert not book.refresh()
        path.unlink()
        assert not book.refresh()
        assert not book.refresh()
    assert (book.rejected, len(caplog.records)) == (2, 2)
    assert "stay as they were" in caplog.text
    assert "LABTOOL_RUN" in book.vocabulary.names
    site(tmp_path, OURS.replace("LABTOOL_RUN", "LABTOOL_ID"))
    assert book.refresh()
    assert "LABTOOL_ID" in book.vocabulary.names


def test_a_new_rule_is_applied_to_processes_that_run_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver asks again about processes that it knew under the old rules, and reads what these may not read."""
    path = site(tmp_path, "")
    book = RuleBook([path])
    pid = os.getpid()
    processes = ProcFs(boot_us=boot_instant_us(), rules=book)
    resolver = HolderResolver(processes, InMemoryPods({}), node="n", identifier=Identifier(book))
    name = next(name for name in _own_variables() if name not in book.vocabulary.names)
    assert resolver.resolve(pid).holder.labels.get("workload_source") != f"env:{name}"
    path.write_text(OURS.replace("LABTOOL_RUN", name))
    resolver.begin_reading()
    holder = resolver.resolve(pid).holder
    assert holder.workload is not None
    assert (holder.workload.system, holder.labels["workload_source"]) == ("labtool", f"env:{name}")


def _own_variables() -> list[str]:
    """Return harmless variables that this process was started with."""
    block = Path("/proc/self/environ").read_bytes().decode()
    started_with = {entry.partition("=")[0]: entry.partition("=")[2] for entry in block.split("\0") if entry}
    return [name for name in ("PATH", "HOME", "PWD", "LANG", "SHLVL", "_") if started_with.get(name)]


def test_what_the_api_watch_has_to_keep_is_told() -> None:
    """Labels and annotations that no rule looks at need not be kept of a pod."""
    book = RuleBook()
    assert {"team", "ray.io/cluster", "kueue.x-k8s.io/queue-name", "component"} <= book.label_patterns()
    assert {"owner", "hub.jupyter.org/username", "task_id"} <= book.annotation_patterns()
    assert Identifier(book).label_patterns() == book.label_patterns()
    assert "com.docker.compose.service" in book.container_labels()
    assert "pod-template-hash" not in book.label_patterns()
