"""Facts about processes are read from a proc filesystem, and nothing is read that is not on the list."""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.processes import (
    READABLE,
    UNREADABLE,
    WIPED,
    InMemoryProcesses,
    ProcessFacts,
    ProcFs,
    boot_instant_us,
    is_wiped,
    parse_comm,
    parse_ppid,
    parse_start_ticks,
)
from agent.identity.rulebook import RuleBook, built_in
from agent.identity.vocabulary import Vocabulary
from gpuledger.errors import HolderError

BOOT_S = 1_700_000_000


def stat_line(pid: int, comm: str, start_ticks: int, ppid: int = 4) -> str:
    fields = " ".join(str(n) for n in range(5, 22))
    return f"{pid} ({comm}) S {ppid} {fields} {start_ticks} 999 888\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nbtime {BOOT_S}\nprocesses 5\n")
    return tmp_path


def add_process(
    proc: Path,
    pid: int,
    *,
    comm: str = "python",
    ticks: int = 500,
    uid: int = 1000,
    environ: bytes = b"",
    cgroup: str = "",
    ppid: int = 4,
    command: bytes = b"",
    login: str = "",
) -> None:
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(stat_line(pid, comm, ticks, ppid))
    (folder / "cmdline").write_bytes(command)
    if login:
        (folder / "loginuid").write_text(login)
    (folder / "status").write_text(f"Name:\t{comm}\nUid:\t{uid}\t0\t0\t0\nGid:\t1\t1\t1\t1\n")
    (folder / "cgroup").write_text(cgroup or "0::/user.slice\n")
    (folder / "environ").write_bytes(environ)


def table(proc: Path, rules: RuleBook | None = None) -> ProcFs:
    return ProcFs(proc, ticks_per_second=100, user_name=lambda uid: "ada" if uid == 1000 else "", rules=rules)


def known(facts: ProcessFacts | None) -> ProcessFacts:
    assert facts is not None
    return facts


def test_a_process_is_read_as_it_is(proc: Path) -> None:
    """Start time counts from boot in clock ticks; the uid is the real one; the cgroup is kept as text."""
    add_process(proc, 42, environ=b"SLURM_JOB_ID=7\0", cgroup="0::/a\n")
    assert table(proc).facts(42) == ProcessFacts(
        pid=42,
        start_us=(BOOT_S + 5) * 1_000_000,
        cgroup="0::/a\n",
        uid=1000,
        user="ada",
        comm="python",
        environ={"SLURM_JOB_ID": "7"},
        ppid=4,
    )


@pytest.mark.parametrize("comm", ["python", "a b c", "(sd-pam)", "x) R 1 2 3 (y", "", "tmux: server"])
def test_any_command_name_leaves_the_start_time_right(comm: str) -> None:
    """Commands may hold blanks and parentheses, which also separate the fields."""
    line = stat_line(9, comm, 123_456).encode()
    assert (parse_comm(line), parse_start_ticks(line)) == (comm, 123_456)


@given(st.text(alphabet="() ab\t1", max_size=16), st.integers(0, 2**40))
def test_start_ticks_survive_hostile_commands(comm: str, ticks: int) -> None:
    """No command can forge another start time."""
    assert parse_start_ticks(stat_line(1, comm, ticks).encode()) == ticks


def test_a_process_that_has_ended_is_none(proc: Path) -> None:
    """No folder, no process: neither a start time nor facts."""
    assert table(proc).start_us(42) is None
    assert table(proc).facts(42) is None


def test_a_process_that_ends_while_it_is_read_is_none(proc: Path) -> None:
    """Half a process is no process."""
    add_process(proc, 42)
    (proc / "42" / "cgroup").unlink()
    assert table(proc).facts(42) is None


def test_a_reused_pid_shows_another_start_time(proc: Path) -> None:
    """The pid alone is not the process: the one that took it has started later."""
    add_process(proc, 42, ticks=500)
    processes = table(proc)
    before = processes.start_us(42)
    add_process(proc, 42, ticks=900)
    assert processes.start_us(42) == before + 4_000_000  # type: ignore[operator]


def test_no_variable_is_kept_that_is_not_on_the_list() -> None:
    """Environments hold secrets: only the listed names are ever kept, each value cut at a sane length."""
    block = b"AWS_SECRET_ACCESS_KEY=x\0SLURM_JOB_ID=7\0HOME=/root\0GPULEDGER_TEAM=" + b"t" * 999 + b"\0broken\0=y\0"
    found = Vocabulary(built_in()).read_environ(block)
    assert set(found) == {"SLURM_JOB_ID", "GPULEDGER_TEAM"}
    assert len(found["GPULEDGER_TEAM"]) == 256


def test_the_first_of_two_equal_variables_counts() -> None:
    """A variable that stands twice has the value that the process itself would read."""
    assert Vocabulary(built_in()).read_environ(b"SLURM_JOB_ID=1\0SLURM_JOB_ID=2\0") == {"SLURM_JOB_ID": "1"}


@given(st.binary(max_size=300))
def test_any_environment_yields_listed_names_only(block: bytes) -> None:
    """Whatever bytes a process puts there, parsing ends and keeps nothing else."""
    vocabulary = Vocabulary(built_in())
    assert set(vocabulary.read_environ(block)) <= vocabulary.names


def test_an_environment_that_may_not_be_read_is_counted_and_not_fatal(proc: Path) -> None:
    """Identity comes from the cgroup; without the environment only the account and the claims are missing."""
    add_process(proc, 42)
    (proc / "42" / "environ").unlink()
    (proc / "42" / "environ").mkdir()  # reading it fails with another error than absence, for root too
    processes = table(proc)
    facts = processes.facts(42)
    assert facts is not None
    assert (facts.environ_state, dict(facts.environ), processes.environ_unreadable) == (UNREADABLE, {}, 1)


def test_a_process_that_may_not_be_read_is_an_error_with_a_hint(proc: Path) -> None:
    """A process that runs and hides is not the same as one that is gone."""
    add_process(proc, 42)
    (proc / "42" / "cgroup").unlink()
    (proc / "42" / "cgroup").mkdir()
    with pytest.raises(HolderError) as raised:
        table(proc).facts(42)
    assert "hostPID" in raised.value.hint


def test_a_folder_that_is_no_proc_filesystem_is_refused(tmp_path: Path) -> None:
    """A wrong mount is found at the start."""
    with pytest.raises(HolderError, match="stat"):
        ProcFs(tmp_path)
    (tmp_path / "stat").write_text("cpu 1 2\n")
    with pytest.raises(HolderError, match="btime"):
        ProcFs(tmp_path)


def test_this_very_process_can_be_read() -> None:
    """On a real proc filesystem our own process is found, started before now and after boot."""
    processes = ProcFs(boot_us=boot_instant_us())
    facts = processes.facts(os.getpid())
    assert facts is not None
    assert facts.uid == os.getuid()
    assert boot_instant_us() < facts.start_us
    assert processes.start_us(os.getpid()) == facts.start_us


def test_a_given_table_answers_like_the_real_one() -> None:
    """The in-memory table keeps the same promises."""
    facts = ProcessFacts(1, 5, "", 0)
    processes = InMemoryProcesses({1: facts})
    assert (processes.start_us(1), processes.facts(1)) == (5, facts)
    assert (processes.start_us(2), processes.facts(2)) == (None, None)


def test_names_that_are_no_text_can_still_be_sent(proc: Path) -> None:
    """A cgroup or a command may be named with any bytes; what comes of it fits into a batch and into /metrics."""
    add_process(proc, 41)
    (proc / "41" / "cgroup").write_bytes(b"0::/system.slice/slurmstepd.scope/job_4/step_\xff\n")
    facts = table(proc).facts(41)
    assert facts is not None
    assert facts.cgroup.encode() == "0::/system.slice/slurmstepd.scope/job_4/step_\ufffd\n".encode()
    assert parse_comm(b"41 (\xff) S 1").encode() == "\ufffd".encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stat", b""),
        ("stat", b"41 (x) S 1 2"),
        ("stat", b"41 (x S 1 2"),
        ("status", b"Uid:\n"),
        ("status", b"Uid:\tx\n"),
    ],
)
def test_facts_that_make_no_sense_are_unreadable(proc: Path, name: str, content: bytes) -> None:
    """A proc file without what the kernel writes into it is an error of this process, not the end of the agent."""
    add_process(proc, 41)
    (proc / "41" / name).write_bytes(content)
    with pytest.raises(HolderError, match=r"/proc/<pid>/stat"):
        table(proc).facts(41)


def test_a_login_is_kept_and_none_is_none(proc: Path) -> None:
    """Whose login started a process is a fact of its own; the kernel's mark for nobody's is not a uid."""
    add_process(proc, 41, uid=0, login="1000")
    add_process(proc, 42, login="4294967295")
    add_process(proc, 43)
    found = [known(table(proc).facts(pid)) for pid in (41, 42, 43)]
    assert [(facts.login_uid, facts.login_user) for facts in found] == [(1000, "ada"), (None, ""), (None, "")]


@pytest.mark.parametrize(("ppid", "expected"), [(1, 1), (77, 77), (0, None)])
def test_a_parent_is_a_process_or_none(ppid: int, expected: int | None) -> None:
    """The parent's pid stands behind the command, whatever that looks like; 0 is no process."""
    assert parse_ppid(stat_line(9, "x) S 3 (y", 5, ppid).encode()) == expected


def test_only_what_a_pattern_captures_of_a_command_line_is_kept(proc: Path) -> None:
    """The rest of the line, with the token that stands in it, is never there."""
    command = b"/opt/vllm serve\0meta/llama\0--api-key\0s3cret-of-the-team\0--served-model-name\0llama\0"
    add_process(proc, 42, command=command.replace(b"/opt/vllm serve", b"/opt/vllm\0serve"))
    facts = known(table(proc).facts(42))
    assert {key: dict(found) for key, found in facts.captured.items()} == {
        "vllm-model when command": {"model": "meta/llama"},
        "vllm-model find command": {"served": "llama"},
    }
    assert "s3cret" not in repr(facts)


@pytest.mark.parametrize(
    ("environ", "wiped"),
    [
        (b"", False),
        (b"\0" * 900, True),
        (b"A=1\0B=2\0", False),
        (b"ne that did not fit" + b"\0" * 500, True),
        (b"A=\0\0\0B=2\0", False),
    ],
)
def test_a_wiped_environment_is_not_an_empty_one(environ: bytes, *, wiped: bool) -> None:
    """A title leaves NULs where the variables were; an environment without variables has no length."""
    assert is_wiped(environ) is wiped


def test_a_process_that_wiped_its_environment_says_so(proc: Path) -> None:
    """The state tells it from a process that has no variables, and it is counted."""
    add_process(proc, 42, environ=b"\0" * 900)
    add_process(proc, 43)
    processes = table(proc)
    assert [known(processes.facts(pid)).environ_state for pid in (42, 43)] == [WIPED, READABLE]
    assert (processes.environ_wiped, processes.environ_unreadable) == (1, 0)


def test_what_was_seen_first_is_remembered(proc: Path) -> None:
    """Variables that were read before a process took a title stay known; its new title does not hide them."""
    add_process(proc, 42, environ=b"MLFLOW_RUN_ID=r1\0")
    processes = table(proc)
    processes.facts(42)
    add_process(proc, 42, comm="VLLM::Engine", environ=b"\0" * 64)
    facts = known(processes.facts(42))
    assert (facts.environ_state, dict(facts.environ)) == (WIPED, {"MLFLOW_RUN_ID": "r1"})
    add_process(proc, 42, ticks=900, environ=b"\0" * 64)
    assert dict(known(processes.facts(42)).environ) == {}


def test_a_process_that_becomes_another_program_is_read_again(proc: Path) -> None:
    """Between fork and exec a process shows its parent: what the program itself shows replaces that."""
    add_process(proc, 42, comm="bash", environ=b"MLFLOW_RUN_ID=old\0")
    processes = table(proc)
    processes.facts(42)
    add_process(proc, 42, comm="python", environ=b"MLFLOW_RUN_ID=new\0")
    assert dict(known(processes.facts(42)).environ) == {"MLFLOW_RUN_ID": "new"}


def test_a_process_that_moves_is_seen_where_it_is(proc: Path) -> None:
    """Cgroup and parent are read each time: a scheduler moves processes after they start."""
    add_process(proc, 42, cgroup="0::/a\n")
    processes = table(proc)
    processes.facts(42)
    add_process(proc, 42, cgroup="0::/b\n", ppid=9)
    facts = known(processes.facts(42))
    assert (facts.cgroup, facts.ppid) == ("0::/b\n", 9)


def test_the_memory_of_processes_has_an_end(proc: Path) -> None:
    """Processes that are not asked for any more make room."""
    processes = table(proc)
    for pid in range(100, 1_300):
        add_process(proc, pid)
        processes.facts(pid)
    assert len(processes._seen) == 1_024


def test_a_document_is_read_as_the_process_sees_it(proc: Path) -> None:
    """A variable may name a file of the process; a link in its path is not followed, and no pipe is waited for."""
    context = base64.b64encode(zlib.compress(b'{"path": "/tmp/context"}'))
    add_process(proc, 42, environ=b"DAGSTER_PIPES_CONTEXT=" + context + b"\0")
    root = proc / "42" / "root" / "tmp"
    root.mkdir(parents=True)
    (root / "context").write_text('{"run_id": "r1", "job_name": "train", "asset_keys": ["a", "b"], "token": "t"}')
    expected = {"run_id": "r1", "job_name": "train", "asset_keys": "a,b"}
    found = dict(known(table(proc).facts(42)).environ)
    assert found == {f"DAGSTER_PIPES_CONTEXT.{field}": value for field, value in expected.items()}
    (root / "context").rename(root / "elsewhere")
    (root / "context").symlink_to("elsewhere")
    assert dict(known(table(proc).facts(42)).environ) == {}
    (root / "context").unlink()
    os.mkfifo(root / "context")
    assert dict(known(table(proc).facts(42)).environ) == {}
