"""Share files: exact GPUs, one meaning each, and whatever is wrong is said with its place; drafts from schedulers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.pricing.share_drafts import draft_shares
from collector.pricing.share_files import gpu_parts_of, parse_share_book
from gpuledger.accounting.periods import parse_instant
from gpuledger.accounting.shares import Scope, Share
from gpuledger.errors import ShareBookError

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "shares.toml"


def toml(text: str) -> tuple[Share, ...]:
    return parse_share_book(text.encode(), "toml", "shares.toml").shares


def test_the_example_is_what_it_says() -> None:
    """Whole GPUs and MIG slices, terms at the top and of a share's own, dates, a limit and a share that does not lend."""
    book = parse_share_book(EXAMPLE.read_bytes(), "toml", "shares.toml")
    train = Scope(pool="train", model="NVIDIA H100*")
    assert book.shares == (
        Share("vision", 16 * 840, train, loan_percent=Decimal(25)),
        Share(
            "speech", 8 * 840, train, loan_percent=Decimal(25), lend_limit_parts=4 * 840,
            from_us=parse_instant("2026-07-01"),
        ),
        Share("search", 240, Scope(model="NVIDIA A100*"), lends=False, loan_percent=Decimal(25)),
    )  # fmt: skip
    assert (book.idle, book.unowned) == ("platform", "last")


def test_csv_has_the_same_keys() -> None:
    """An empty field is one that is not given."""
    text = (
        "team,department,gpus,pool,lends,loan_rate,from\nvision,research,2.5,train,no,,\nspeech,,1,,,0.50,2026-07-01\n"
    )
    assert parse_share_book(text.encode(), "csv", "s.csv").shares == (
        Share("vision", 2100, Scope(pool="train"), department="research", lends=False),
        Share("speech", 840, loan_rate_quanta=500_000_000, from_us=parse_instant("2026-07-01")),
    )


def test_gpus_are_counted_exactly() -> None:
    """Decimals and fractions of a GPU in steps of 1/840; nothing is rounded."""
    assert [gpu_parts_of(text) for text in ("16", "2.5", "3/7", "0.125")] == [13440, 2100, 360, 105]
    assert [gpu_parts_of(text) for text in ("0.33", "1/11", "-1", "1e3", "", "1/0", "9" * 30)] == [None] * 7


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("gpus = 1", "entry 1: team is missing"),
        ('team = "a"', "entry 1: gpus is missing"),
        ('team = "a"\ngpus = 1.5', "entry 1: gpus 1.5 is not a number of GPUs that is counted exactly"),
        ('team = "a"\ngpus = true', "entry 1: gpus True is not a number"),
        ('team = "a"\ngpus = [1]', "entry 1: gpus"),
        ('team = "a"\ngpus = "0.33"', "entry 1: gpus '0.33' is not a number"),
        ('team = "a"\ngpus = 99999999999', "entry 1: gpus 99999999999 is over"),
        ('team = "a"\ngpus = 1\nlend = true', 'entry 1: unknown key "lend"'),
        ('team = "a"\ngpus = 1\nlends = "perhaps"', "entry 1: lends is 'perhaps'"),
        ('team = "a"\ngpus = 1\nlends = []', "entry 1: lends is"),
        ('team = "a"\ngpus = 1\nlends = false\nlend_limit = 1', "entry 1: lend_limit for a share that does not lend"),
        ('team = "a"\ngpus = 1\nloan_percent = "2"\nloan_rate = "1"', "entry 1: loan_percent and loan_rate are both"),
        ('team = "a"\ngpus = 1\nloan_percent = "1001"', "entry 1: loan_percent 1001 is over"),
        ('team = "a"\ngpus = 1\nloan_percent = 25', "entry 1: loan_percent is 25, a number that need not be exact"),
        ('team = "a"\ngpus = 1\nloan_rate = 0', "entry 1: loan_rate is 0, a number that need not be exact"),
        ('team = "a"\ngpus = 1\nloan_rate = "-1"', 'entry 1: loan_rate "-1" is negative'),
        (
            'team = "a"\ngpus = 1\nfrom = "2026-07-01T00:30:00Z"',
            "entry 1: from 2026-07-01T00:30:00Z is not on the hour",
        ),
        ('team = "a"\ngpus = 1\n[[share]]\nteam = "a"\ngpus = 2', "shares 1 and 2 overlap"),
    ],
)
def test_a_bad_share_is_refused_with_its_place(line: str, says: str) -> None:
    """The message names the entry and the field, and the hint the next step."""
    with pytest.raises(ShareBookError) as caught:
        toml(f"[[share]]\n{line}\n")
    assert caught.value.message.startswith("shares.toml: ")
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no share in it"),
        ('idle = "nobody"\n[[share]]\nteam = "a"\ngpus = 1', "idle is 'nobody'"),
        (
            'loan_percent = "x"\n[[share]]\nteam = "a"\ngpus = 1',
            'shares.toml: loan_percent "x" is not a decimal number',
        ),
        ('unowned = 1\n[[share]]\nteam = "a"\ngpus = 1', "unowned is 1"),
        ('ilde = "owner"\n[[share]]\nteam = "a"\ngpus = 1', 'unknown key "ilde"'),
    ],
)
def test_a_bad_setting_is_refused(text: str, says: str) -> None:
    """What stands at the top is known too."""
    with pytest.raises(ShareBookError, match=says):
        toml(text)


def queue(name: str, *resources: dict[str, Any], **spec: object) -> dict[str, Any]:
    flavors = [{"name": "h100", "resources": [{"name": "cpu", "nominalQuota": "64"}, *resources]}]
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {"resourceGroups": [{"coveredResources": ["cpu", "nvidia.com/gpu"], "flavors": flavors}], **spec},
    }


def test_cluster_queues_of_kueue_become_shares() -> None:
    """Quotas with their lending limits; who has no cohort does not lend; what is no share is said."""
    items = [
        queue("vision", {"name": "nvidia.com/gpu", "nominalQuota": "16", "borrowingLimit": "8"}, cohortName="all"),
        {**queue("speech", {"name": "nvidia.com/gpu", "nominalQuota": 8, "lendingLimit": 4}, cohort="all"),
         "apiVersion": "kueue.x-k8s.io/v1beta1"},
        queue("closed", {"name": "nvidia.com/gpu", "nominalQuota": 2, "lendingLimit": "0"}, cohortName="all"),
        queue("alone", {"name": "nvidia.com/gpu", "nominalQuota": "1"}),
        queue("none", {"name": "nvidia.com/gpu", "nominalQuota": "0"}),
        queue("slices", {"name": "nvidia.com/mig-1g.10gb", "nominalQuota": "7"}),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}},
    ]  # fmt: skip
    draft = draft_shares(json.dumps({"kind": "List", "items": items}).encode(), "queues.json", "kueue")
    assert toml(draft.text) == (
        Share("vision", 16 * 840, Scope(pool="h100")),
        Share("speech", 8 * 840, Scope(pool="h100"), lend_limit_parts=4 * 840),
        Share("closed", 2 * 840, Scope(pool="h100"), lends=False),
        Share("alone", 840, Scope(pool="h100"), lends=False),
    )
    assert [line.split(":")[0] for line in draft.left_out] == [
        "ClusterQueue none, flavor h100, nvidia.com/gpu",
        "ClusterQueue slices, flavor h100, nvidia.com/mig-1g.10gb",
    ]
    assert "the scheduler lets it borrow 8" in draft.text


def test_accounts_of_slurm_become_shares() -> None:
    """GPUs of an account, by type where it says so; limits of users and removed limits are no shares."""
    text = (
        "Cluster|Account|User|Partition|GrpTRES\n"
        "main|root|||\n"
        "main|vision|||cpu=512,gres/gpu=16\n"
        "main|speech|||gres/gpu=8,gres/gpu:h100=6,gres/gpu:nvidia_a100_sxm4_80gb=2\n"
        "main|vision|ana||gres/gpu=2\n"
        "main|old|||gres/gpu=-1\n"
    )
    draft = draft_shares(text.encode(), "assoc.txt", "slurm")
    assert toml(draft.text) == (
        Share("vision", 16 * 840, Scope("main")),
        Share("speech", 6 * 840, Scope("main", model="NVIDIA H100*")),
        Share("speech", 2 * 840, Scope("main", model="NVIDIA?A100?SXM4?80GB")),
    )
    assert draft.left_out == [
        "line 5: account vision: a limit of user ana in partition * is no share",
        "line 6: account old: -1 GPUs are no share",
    ]


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("kueue", b"kind: ClusterQueue", "not JSON"),
        ("kueue", b'{"items": 3}', "no quota of GPUs"),
        (
            "kueue",
            b'{"apiVersion":"kueue.x-k8s.io/v1beta1","kind":"ClusterQueue","spec":[]}',
            "a ClusterQueue that is none",
        ),
        ("kueue", b"[" * 100_000, "not JSON"),
        ("slurm", b"Account|GrpTRES\n", "no column Cluster, User, Partition"),
        ("slurm", b"Cluster|Account|User|Partition|GrpTRES\nmain|a\n", "too few fields"),
        ("slurm", b"Cluster|Account|User|Partition|GrpTRES\nmain|a|||cpu=1\n", "no quota of GPUs"),
        ("slurm", b"\xff", "not UTF-8"),
    ],
)
def test_what_a_scheduler_never_wrote_is_refused(kind: str, content: bytes, says: str) -> None:
    """With the command whose output is wanted."""
    with pytest.raises(ShareBookError, match=says) as caught:
        draft_shares(content, "file", kind)
    assert "give the output of" in caught.value.hint


def test_nothing_that_a_name_holds_leaves_its_place() -> None:
    """A quota or a name with a line break stays a comment, or a text."""
    evil = queue("a\n[[share]]", {"name": "nvidia.com/gpu", "nominalQuota": "1\n[[share]]"})
    fine = queue('b"\nteam = "c', {"name": "nvidia.com/gpu", "nominalQuota": 1})
    draft = draft_shares(json.dumps([evil, fine]).encode(), "q.json", "kueue")
    with pytest.raises(ShareBookError, match="team is not one line"):
        toml(draft.text)
    assert draft.text.count("[[share]]\n") == 0
