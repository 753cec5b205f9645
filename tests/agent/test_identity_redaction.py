"""No secret of anybody's process is ever kept, shown or logged."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.ancestry import ancestry
from agent.holders.pods import InMemoryPods
from agent.holders.processes import ProcFs, boot_instant_us
from agent.holders.resolve import HolderResolver
from agent.identity.identify import Identifier
from agent.identity.redaction import looks_secret, names_a_secret
from agent.identity.rulebook import RuleBook
from tests.agent.identities import fresh_vocabulary

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = [
    JWT,
    f"Bearer {JWT[:30]}",
    "hf_abcdefGHIJKLmnopQRST",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefABCDEF1234567890",
    "sk-proj-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "s3://user:pa55word@bucket/models",
    "token=abc",
    "api_key: xyz",
    '{"password": "x"}',
    "-----BEGIN RSA PRIVATE KEY-----",
    "0123456789abcdef0123456789abcdef01234567",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
]
NAMES = [
    "0af7651916cd43dd8448eb211c80319c",
    "8f0f1b0e-7f63-4d2c-9d2e-3c1f5a6b7c8d",
    "a" * 64,
    "manual__2026-11-23T04:03:43.980000+00:00",
    "train_llm/scheduled__2026-08-17T00:00:00+00:00/team.nlp.fit",
    "meta-llama/Llama-3.1-405B-Instruct",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8",
    "/home/ana/projects/Finetune Llama 3/notebooks/exp.ipynb",
    "/scratch/team7/VeryLongDirectoryName2026/AnotherDirectory3/MoreOfIt4",
    "stable-diffusion-predictor-default-00001",
    "arn:aws:ecs:eu-west-1:123456789012:task/cluster/9f8e7d6c5b4a",
    "models:/gpumodel/1",
    "ana.souza@example.org",
    "tokenizer-training",
    "hf-finetune-llama-2-70b-instruct",
    "sk-learn-hyperparameter-search-7",
    "npm-build-of-the-frontend",
    "design: signals",
    "Wortschatzerweiterungsexperiment",
    "train-x7k2p-1234567890",
]


@pytest.mark.parametrize("value", SECRETS)
def test_values_that_may_be_secrets_are_dropped_and_counted(value: str) -> None:
    """Even a variable that a rule asks for does not bring one in."""
    assert looks_secret(value)
    vocabulary = fresh_vocabulary()
    assert vocabulary.read_environ(f"MLFLOW_RUN_ID={value}\0WANDB_RUN_ID=r1\0".encode()) == {"WANDB_RUN_ID": "r1"}
    assert vocabulary.dropped == 1


@pytest.mark.parametrize("value", NAMES)
def test_names_and_ids_are_not_taken_for_secrets(value: str) -> None:
    """What identities are made of passes."""
    assert not looks_secret(value)


@pytest.mark.parametrize(
    "name",
    [
        "WANDB_API_KEY",
        "HF_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
        "PREFECT__CONTROL_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "JUPYTERHUB_API_TOKEN",
    ],
)
def test_variables_that_hold_secrets_are_known_by_name(name: str) -> None:
    """A rule that asks for one of them is refused."""
    assert names_a_secret(name)
    assert name not in fresh_vocabulary().names


@given(st.binary(max_size=400))
def test_no_command_line_is_an_error_or_is_kept(line: bytes) -> None:
    """Whatever bytes a process writes there, only named groups of known patterns come out."""
    vocabulary = fresh_vocabulary()
    found = vocabulary.read_command(line)
    assert set(found) <= set(vocabulary._commands)


@pytest.mark.parametrize("option", ["--run_id", "--model", "--served-model-name", "-m", "--service-name"])
def test_long_and_hostile_command_lines_take_no_time(option: str) -> None:
    """Patterns are bounded: a line of half a megabyte that nearly matches is read as fast as any."""
    line = b"\0".join(
        [b"vllm", b"serve", b"launcher", b"--pipeline_name", b"mlflow models serve", *[option.encode()] * 60_000]
    )
    fresh_vocabulary().read_command(line)  # the test's own time limit is the assertion: it returns


def test_a_secret_never_lasts(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A process with secrets in its environment and on its command line is read, resolved, identified: none is left.

    Not in any object that the collector of garbage knows, not in a repr, not in what is sent, not in a log.
    """
    secrets = ["Zq9" * 9, "hf_" + "Xw8" * 9]
    program = "import sys; print('up', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, "--model", secrets[1], "serve", "--password", secrets[0]]
    environ = {
        **os.environ, "WANDB_API_KEY": secrets[0], "MLFLOW_RUN_ID": secrets[1], "DVC_STAGE": "train", "DVC_ROOT": "/r",
        "MLFLOW_RUN_CONTEXT": f'{{"team": "nlp", "key": "{secrets[0]}"}}',
    }  # fmt: skip
    child = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        with caplog.at_level(logging.DEBUG):
            book = RuleBook()
            processes = ProcFs(boot_us=boot_instant_us(), rules=book)
            resolver = HolderResolver(processes, InMemoryPods({}), node="n", identifier=Identifier(book))
            resolved = resolver.resolve(child.pid)
            facts = processes.facts(child.pid)
            assert facts is not None
            chain = ancestry(facts, processes)
    finally:
        child.communicate()
    assert resolved.holder.workload is not None
    assert (resolved.holder.workload.system, resolved.holder.team_claim) == ("dvc", "nlp")
    assert book.vocabulary.dropped >= 1
    kept = pickle.dumps((facts, chain, resolved)) + repr((facts, chain, resolved)).encode() + caplog.text.encode()
    environ.clear()
    command.clear()
    child.args = []
    for secret in secrets:
        assert secret.encode() not in kept
        holding = [found for found in _texts_of(processes, book, resolver) if secret in found]
        assert holding == []


def _texts_of(*roots: object) -> set[str]:
    """Return every text that can be reached from our own objects."""
    texts: set[str] = set()
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type):
            continue
        seen.add(id(found))
        if isinstance(found, str | bytes):
            texts.add(found if isinstance(found, str) else found.decode("utf-8", "replace"))
        elif type(found).__module__.startswith(("agent", "gpuledger", "builtins", "collections")) and not callable(
            found
        ):
            waiting.extend(gc.get_referents(found))
    return texts
