"""Quotas as manifests: what Kueue would make of them is what the book says, and nothing is left out in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector.enforcement.kueue import GPU, Manifests, kueue_manifests
from collector.enforcement.namespaces import Namespaces, namespaces_of
from collector.enforcement.resource_quotas import resource_quotas
from collector.enforcement.yaml_text import documents
from collector.governance.quota_files import parse_quota_book
from collector.pricing.files import parse_owner_map
from gpuledger.accounting.quota_tree import ROOT, Node, QuotaTree
from gpuledger.accounting.quotas import DEVICES, Lane, LaneStand, Quota, given_too_much
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.zones import find_zone
from tests.collector.test_collector_governance_quotas import EXAMPLE, entry
from tests.deploy.manifests import require_module

UTC = find_zone("UTC")
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"
NOBODY = Namespaces({}, ())
SPACES = Namespaces({"speech": "acme/research/speech", "vision": "acme/research/vision", "vision-batch": "acme/research/vision", "web": "acme/web"}, ())  # fmt: skip
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LIMITS = {"nominalQuota", "borrowingLimit", "lendingLimit"}


def quotas(*entries: str) -> list[Quota]:
    book = parse_quota_book("".join(entries).encode(), "toml", "q.toml", UTC)
    return [each for each in book if each.lane.of == DEVICES]


def example() -> list[Quota]:
    return quotas(EXAMPLE.read_text())


def of_kind(made: Manifests, kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in made.objects if each["kind"] == kind}


def check_kueue(made: Manifests) -> None:
    """Hold objects against what the API of Kueue v1beta2 and its webhooks ask for."""
    flavors, cohorts, queues = (of_kind(made, kind) for kind in ("ResourceFlavor", "Cohort", "ClusterQueue"))
    for each in made.objects:
        assert each["apiVersion"] == "kueue.x-k8s.io/v1beta2"
        assert NAME.fullmatch(each["metadata"]["name"])
    for spec in flavors.values():
        assert set(spec) <= {"nodeLabels"}
    for spec in cohorts.values():
        assert set(spec) <= {"parentName", "resourceGroups"}
        assert spec.get("parentName", next(iter(cohorts))) in cohorts
        _check_groups(spec, flavors, within="parentName" in spec, queue=False)
    for spec in queues.values():
        assert set(spec) <= {"cohortName", "namespaceSelector", "resourceGroups"}
        assert "cohortName" not in spec or spec["cohortName"] in cohorts
        _check_groups(spec, flavors, within="cohortName" in spec, queue=True)
    for each in made.objects:
        if each["kind"] == "LocalQueue":
            assert each["metadata"]["namespace"]
            assert each["spec"]["clusterQueue"] in queues


def _check_groups(spec: dict[str, Any], flavors: dict[str, Any], *, within: bool, queue: bool) -> None:
    seen: list[str] = []
    for group in spec.get("resourceGroups", []):
        assert 1 <= len(group["flavors"]) <= 64
        for flavor in group["flavors"]:
            seen.append(flavor["name"])
            assert flavor["name"] in flavors
            assert [each["name"] for each in flavor["resources"]] == group["coveredResources"]
            for each in flavor["resources"]:
                assert set(each) - {"name"} <= (LIMITS if within else {"nominalQuota"})
                assert all(re.fullmatch(r"[0-9]+(Gi)?", each[limit]) for limit in set(each) - {"name"})
                if queue and "lendingLimit" in each:
                    assert int(each["lendingLimit"]) <= int(each["nominalQuota"])
    assert len(seen) == len(set(seen))


def test_the_example_as_kueue_gets_it(golden: Callable[[str, str], None]) -> None:
    """The whole text, again and again the same, and a reader of YAML sees the objects as they were made."""
    made = kueue_manifests(example(), [A100, H100], SPACES)
    golden("quotas-kueue.yaml", "".join(f"# - {note}\n" for note in made.notes) + documents(made.objects))
    assert list(yaml.safe_load_all(documents(made.objects))) == made.objects
    check_kueue(made)
    queues = of_kind(made, "ClusterQueue")
    assert queues["acme.research"]["cohortName"] == "acme.research"
    assert of_kind(made, "ResourceFlavor")["nvidia-h100-80gb-hbm3"] == {
        "nodeLabels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    }
    assert [each for each in made.notes if "comes whole" in each] == [
        "acme/products/search (NVIDIA A100*): 2/7 GPUs are 0, since nvidia.com/gpu comes whole"
    ]
    assert "namespace web: acme/web has no quota of GPUs, so it has no queue" in made.notes


def test_a_resource_quota_says_what_it_can_and_names_the_rest() -> None:
    """Valid for Kubernetes; what teams have of their department is not in the department's own namespaces."""
    spaces = Namespaces({"lab": "acme/research", "one": "acme/a", "two": "acme/a"}, ("namespace x: whose?",))
    book = quotas(
        entry("acme/research", "16"), entry("acme/research/vision", "6", borrow='"2"'), entry("acme/a", "4"),
        entry("acme/a", "2", model='"NVIDIA H100*"'),
    )  # fmt: skip
    made = resource_quotas(book, [A100, H100], spaces)
    assert list(yaml.safe_load_all(documents(made.objects))) == made.objects
    validate = require_module("kubernetes_validate", "kubernetes-validate").validate
    for each in made.objects:
        validate(each, "1.37", strict=True)
    hard = {each["metadata"]["namespace"]: each["spec"]["hard"] for each in made.objects}
    assert hard == {name: {f"requests.{GPU}": gpus} for name, gpus in (("lab", "10"), ("one", "4"), ("two", "4"))}
    assert made.notes == [
        "namespace x: whose?",
        "acme/research/vision (*): a ResourceQuota neither borrows nor lends",
        "acme/a (NVIDIA H100*): left out, a ResourceQuota does not tell models apart",
        "acme/research/vision: left out, no namespace of it is known",
        "acme/a: each of one, two may hold all of it, since a ResourceQuota is of one namespace",
    ]
    only = resource_quotas(quotas(entry("acme", "3", model='"NVIDIA H100*"')), [H100], Namespaces({"n": "acme/x"}, ()))
    assert only.objects[0]["spec"]["hard"] == {f"requests.{GPU}": "3"}, "where all GPUs are of it, it counts them all"


def test_a_flavor_is_one_model_that_there_is() -> None:
    """A pattern of several models, of none, a second quota of the same GPUs, all models beside some: each is named."""
    book = quotas(
        entry("a", "1", model='"NVIDIA *"'), entry("b", "1", model='"NVIDIA B200*"'), entry("c", "1", model=f'"{H100}"'),
        entry("d", "1", model='"*H100*"'), entry("e", "1"), entry("f", "1", model='"NVIDIA L4"'),
    )  # fmt: skip
    made = kueue_manifests(book, [A100, H100], NOBODY)
    check_kueue(made)
    assert sorted(of_kind(made, "ClusterQueue")) == ["c", "f"]
    assert [note.partition(":")[0] for note in made.notes if "left out" in note] == [
        "quotas of NVIDIA *", "quotas of NVIDIA B200*", "quotas of *H100*", "quotas of all models (e)",
    ]  # fmt: skip
    assert of_kind(kueue_manifests(quotas(entry("e", "1")), [], NOBODY), "ResourceFlavor")["any-gpu"] == {}


def test_names_are_those_that_kubernetes_takes() -> None:
    """Whatever owners are called; two that come to the same name stay two."""
    book = quotas(entry("Acme GmbH/R & D", "1"), entry("acme-gmbh/r-d", "1"), entry("研究", "1"))
    made = kueue_manifests(book, [], NOBODY)
    check_kueue(made)
    assert sorted(of_kind(made, "ClusterQueue")) == ["acme-gmbh.r-d", "acme-gmbh.r-d-2", "x"]


OWNERS = """
[[owner]]
team = "gold"
match.namespace = "shared"
match."label.tier" = "gold"
[[owner]]
organisation = "acme"
team = "web"
match.namespace = "shared"
[[owner]]
team = "lab"
match.namespace = "lab"
match.cluster = "c1"
[[owner]]
team = "{namespace}"
match.namespace = "team-*"
[[owner]]
team = "old"
match.namespace = "old"
to = 2020-01-01T00:00:00Z
"""


def test_a_namespace_has_the_owner_that_its_name_says() -> None:
    """A pattern is met by those that were seen; what depends on labels or a cluster is told."""
    rules = parse_owner_map(OWNERS.encode(), "toml", "owners.toml")
    at_us = 1_780_000_000_000_000
    seen = ["team-a", "elsewhere"]
    owned = {"lab": "lab", "shared": "acme/web", "team-a": "team-a"}
    assert namespaces_of(rules, seen, "c1", at_us).owners == owned
    found = namespaces_of(rules, seen, "", at_us)
    assert found.owners == {"shared": "acme/web", "team-a": "team-a"}
    assert found.notes == (
        "namespace lab: by owner rule 3 whose it is depends on more",
        "namespace shared: by owner rule 1 whose it is depends on more",
    )


PATHS = ("*", "a", "a/b", "a/b/c", "a/b/d", "a/e", "a/e/f", "g", "g/h")
amounts = st.integers(0, 6)
limits = st.none() | st.integers(0, 4)


@st.composite
def books(draw: st.DrawFn) -> list[Quota]:
    """Draw quotas of two models, of whole GPUs, of which nobody gives more than it has."""
    found = [
        Quota(
            owner, Lane(model), GPU_PARTS * draw(amounts), *(None if each is None else GPU_PARTS * each for each in draw(st.tuples(limits, limits)))
        )
        for model in (H100, A100)
        for owner in draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=6))
    ]  # fmt: skip
    while (wrong := given_too_much(found)) is not None:
        found[wrong[0]] = found[wrong[0]]._replace(owns=found[wrong[0]].owns + GPU_PARTS * 6)
    return found


def as_kueue(made: Manifests, flavor: str, used: dict[str, int]) -> tuple[QuotaTree, dict[str, int]]:
    """Return the tree that Kueue makes of objects, for one flavor, and the places of ClusterQueues in it."""
    cohorts, queues = of_kind(made, "Cohort"), of_kind(made, "ClusterQueue")
    nodes: list[Node] = []
    places: dict[str, int] = {}
    for name, spec in cohorts.items():  # those above come first
        nodes.append(_node(places[spec["parentName"]] if "parentName" in spec else ROOT, spec, flavor, 0))
        places[name] = len(nodes) - 1
    found = {}
    for name, spec in queues.items():
        if not any(each["name"] == flavor for each in spec["resourceGroups"][0]["flavors"]):
            continue
        if "cohortName" in spec:
            parent = places[spec["cohortName"]]
        else:
            nodes.append(Node(ROOT))
            parent = len(nodes) - 1
        nodes.append(_node(parent, spec, flavor, used.get(name, 0)))
        found[name] = len(nodes) - 1
    return QuotaTree(nodes), found


def _node(parent: int, spec: dict[str, Any], flavor: str, used: int) -> Node:
    of = [
        each["resources"][0]
        for group in spec.get("resourceGroups", [])
        for each in group["flavors"]
        if each["name"] == flavor
    ]
    limits = of[0] if of else {}
    borrow, lend = (int(limits[key]) if key in limits else None for key in ("borrowingLimit", "lendingLimit"))
    return Node(parent, int(limits.get("nominalQuota", 0)), used, borrow, lend)


@given(books(), st.lists(st.integers(0, 9), min_size=18, max_size=18))
def test_kueue_has_room_for_what_the_book_has_room_for(book: list[Quota], use: list[int]) -> None:
    """Of each model, whatever is used: a queue takes as much more as the quota that it is made of."""
    made = kueue_manifests(book, [H100, A100], NOBODY)
    check_kueue(made)
    for model, flavor in ((H100, "nvidia-h100-80gb-hbm3"), (A100, "nvidia-a100-sxm4-40gb")):
        mine = [each for each in book if each.lane.model == model]
        names = {each.owner: "everything" if each.owner == "*" else each.owner.replace("/", ".") for each in mine}
        used = {each.owner: amount for each, amount in zip(mine, use, strict=False) if names[each.owner] in of_kind(made, "ClusterQueue")}  # fmt: skip
        tree, places = as_kueue(made, flavor, {names[owner]: amount for owner, amount in used.items() if amount})
        used = {owner: amount for owner, amount in used.items() if names[owner] in places}
        stand = LaneStand(Lane(model), mine, {}, {owner: amount * GPU_PARTS for owner, amount in used.items()})
        for owner in used:
            assert tree.room(places[names[owner]]) * GPU_PARTS == stand.room(owner), owner
