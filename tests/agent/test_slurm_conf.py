"""Slurm's configuration into devices: hostlists, gres.conf, the order of types, AutoDetect, MIG, shards."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import AgentSettings
from agent.devices.base import BoardReading, InstanceReading, NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.slurm.conf import NodeGres, includes, parse_count, parse_gres, parse_gres_conf, parse_node_gres
from agent.holders.slurm.hostlist import MOST_NAMES, expand
from agent.holders.slurm.node import SlurmNode
from agent.holders.slurm.order import GpuOrder, decide_order, given_order, parse_mig_minors
from gpuledger.config import load_config
from gpuledger.errors import HolderError
from gpuledger.model import Device
from tests.agent.slurm_cluster import BY_MINOR, UUIDS, reading


def order(gres_conf: str, gres: str | None = None, of: NodeReading | None = None, minors: str = "") -> GpuOrder:
    """Return the order of node `n1` by the text of gres.conf and, where given, `Gres=` of its line in slurm.conf."""
    of = of or reading()
    node = None if gres is None else parse_gres(gres)
    return decide_order(parse_gres_conf(gres_conf, "n1"), node, of, DeviceIndex(of), parse_mig_minors(minors))


def minors(found: GpuOrder) -> list[int | None]:
    numbers = {uuid: minor for minor, uuid in BY_MINOR.items()}
    return [None if device is None else numbers[device] for device in found.devices]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ["a"]),
        ("", []),
        ("a,b", ["a", "b"]),
        ("/dev/nvidia[0-3]", ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2", "/dev/nvidia3"]),
        ("/dev/nvidia[3,1,0-0]", ["/dev/nvidia3", "/dev/nvidia1", "/dev/nvidia0"]),
        ("n[08-10]", ["n08", "n09", "n10"]),
        ("r[1-2]n[1,3]x,login", ["r1n1x", "r1n3x", "r2n1x", "r2n3x", "login"]),
    ],
)
def test_a_hostlist_is_its_names_in_order(text: str, names: list[str]) -> None:
    """Brackets, ranges, zeros in front and several brackets expand as Slurm expands them."""
    assert list(expand(text)) == names


@pytest.mark.parametrize(
    "text", ["n[1-", "n[2-1]", "n[a]", "n]1[", "n[0-99999999]", "n[1-300]m[1-300]", "n[1--3]", "n[]"]
)
def test_a_hostlist_that_is_none_or_too_long_is_refused(text: str) -> None:
    """Half a bracket, a range backwards and a list that would fill the memory raise ValueError."""
    with pytest.raises(ValueError, match="hostlist"):
        expand(text)


@given(st.text(alphabet="an[]-,0129 /", max_size=40))
def test_a_hostlist_is_never_endless(text: str) -> None:
    """Whatever stands there: names, boundedly many, or ValueError."""
    with contextlib.suppress(ValueError):
        assert len(expand(text)) <= MOST_NAMES


def test_gres_conf_is_read_as_slurm_reads_it() -> None:
    """Case, comments, continued lines, quotes, other nodes' lines and counts with a suffix."""
    conf = parse_gres_conf(
        """
        # GPUs
        autodetect=OFF
        NodeName=n[1-2] name=GPU \\
            type=H100 FILE="/dev/nvidia[0-1]" Cores=0-15  # two
        nodename=n3 Name=gpu File=/dev/nvidia9
        Name=shard Count=2K
        Name=gpu MultipleFiles=/dev/nvidia2,/dev/nvidia-caps/nvidia-cap[3-4] UUID=MIG-x
        """,
        "n1",
    )
    assert conf.detect == "off"
    gpu, mig = conf.named("gpu")
    assert (gpu.type, gpu.files, gpu.is_one_device) == ("h100", ("/dev/nvidia0", "/dev/nvidia1"), False)
    assert (mig.files[1:], mig.is_one_device, mig.uuid) == (
        ("/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia-caps/nvidia-cap4"), True, "MIG-x",
    )  # fmt: skip
    assert conf.named("shard")[0].number == 2_048
    assert includes("Include gpus.conf\nname=gpu") == ("gpus.conf",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu:4", [("gpu", "", 4)]),
        ("gpu", [("gpu", "", 1)]),
        ("gpu:h100", [("gpu", "h100", 1)]),
        ("gpu:H100:3(S:0-1),shard:16", [("gpu", "h100", 3), ("shard", "", 16)]),
        ("gpu:a100_1g.5gb:7", [("gpu", "a100_1g.5gb", 7)]),
        ("bandwidth:lustre:no_consume:4G", [("bandwidth", "lustre", 4 * 1024**3)]),
        ("(null)", []),
        ("", []),
    ],
)
def test_gres_of_a_node(text: str, found: list[tuple[str, str, int]]) -> None:
    """`Gres=` in its forms."""
    assert [tuple(gres) for gres in parse_gres(text)] == found


def test_the_line_of_a_node_in_slurm_conf() -> None:
    """Its own line counts, else what DEFAULT said before; a node that no line names has none."""
    text = "NodeName=DEFAULT Gres=gpu:2\nNodeName=n[1-4] CPUs=8\nNodeName=n5 Gres=gpu:h100:8 CPUs=1\nPartitionName=x Nodes=n9"
    assert parse_node_gres(text, "n4") == (NodeGres("gpu", "", 2),)
    assert parse_node_gres(text, "n5") == (NodeGres("gpu", "h100", 8),)
    assert parse_node_gres(text, "n9") is None


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "99999999999999999999", "4KB"])
def test_a_count_that_is_none_is_refused(text: str) -> None:
    """Only digits, with one suffix."""
    with pytest.raises(ValueError, match="not a count"):
        parse_count(text)


LINES = (
    "NodeName=n1 Name=gpu Type=h100 File=/dev/nvidia[2-3]\n"
    "NodeName=n1 Name=gpu Type=a100 File=/dev/nvidia0\n"
    "NodeName=n1 Name=gpu Type=h100 File=/dev/nvidia1\n"
)


@pytest.mark.parametrize(
    ("gres", "expected"),
    [
        ("gpu:h100:3,gpu:a100:1", [2, 3, 1, 0]),
        ("gpu:a100:1,gpu:h100:3", [0, 2, 3, 1]),
        ("gpu:4", [2, 3, 0, 1]),
        ("gpu:h100:2,gpu:a100:1", [2, 3, 0]),
    ],
)
def test_indices_follow_the_types_of_slurm_conf_then_the_lines_of_gres_conf(gres: str, expected: list[int]) -> None:
    """As `slurmd -G` of a real Slurm prints them; what slurm.conf does not count has no index."""
    assert minors(order(LINES, gres)) == expected


def test_an_order_that_cannot_be_known_is_not_guessed() -> None:
    """Several types without slurm.conf, fewer GPUs than detected, no files: no order, and the reason."""
    assert (order(LINES).devices, "types" in order(LINES).problem) == ((), True)
    assert "which" in order("AutoDetect=nvml", "gpu:2").problem
    assert "device files" in order("Name=gpu Count=4", "gpu:4").problem
    assert order(LINES, "").problem == "slurm.conf gives this node no GPUs"
    assert minors(order("Name=gpu File=/dev/nvidia[3,0]")) == [3, 0]


def test_a_device_file_without_a_gpu_keeps_its_index() -> None:
    """A card that fell off the bus does not shift the others."""
    assert minors(order("Name=gpu File=/dev/nvidia[0,7,1]", "gpu:3")) == [0, None, 1]


def test_autodetect_counts_in_the_drivers_order() -> None:
    """nvml: the order of the PCI bus, which is NVML's index; nvidia: that of device files; lines with files choose."""
    assert list(order("AutoDetect=nvml", "gpu:4").devices) == list(UUIDS)
    assert minors(order("AutoDetect=nvidia", "gpu:4")) == [0, 1, 2, 3]
    assert minors(order("AutoDetect=nvml\nName=gpu File=/dev/nvidia[0-1]", "gpu:2")) == [1, 0]
    with pytest.raises(ValueError, match="AutoDetect"):
        parse_gres_conf("AutoDetect=magic", "n1")


def sliced() -> NodeReading:
    """Return a node whose first GPU is whole and whose second, minor 0, is cut into two MIG instances."""
    instances = tuple(
        InstanceReading(
            Device(f"MIG-{gi}", "mig", "A100", board=UUIDS[1]), None, (), gpu_instance=gi, compute_instance=0
        )
        for gi in (7, 3)
    )
    boards = (
        BoardReading(Device(UUIDS[0], "gpu", "A100", index=0), minor=1),
        BoardReading(Device(UUIDS[1], "gpu", "A100", index=1), minor=0, mig=True, instances=instances),
    )
    return NodeReading("e", "580", boards)


def test_mig_instances_have_indices_of_their_own() -> None:
    """AutoDetect counts the instances of a GPU in its place; gres.conf names them by their capability files."""
    assert order("AutoDetect=nvml", "gpu:1g:2,gpu:a100:1", sliced()).devices == (UUIDS[0], "MIG-7", "MIG-3")
    caps = "gpu0/gi3/access 30\ngpu0/gi3/ci0/access 31\ngpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\nconfig 1\n"
    conf = (
        "Name=gpu Type=1g MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap30,/dev/nvidia-caps/nvidia-cap31\n"
        "Name=gpu Type=1g MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap66,/dev/nvidia-caps/nvidia-cap67\n"
    )
    assert order(conf, "gpu:1g:2", sliced(), caps).devices == ("MIG-3", "MIG-7")
    assert order(conf, "gpu:1g:2", sliced()).devices == (None, None), "without mig-minors it is not known which"
    assert order("Name=gpu File=/dev/nvidia1 UUID=mig-3", "gpu:1", sliced()).devices == ("MIG-3",)


@pytest.mark.parametrize(
    ("conf", "gres", "expected"),
    [
        ("Name=shard Count=10", "gpu:4,shard:10", [2, 2, 3, 3]),
        ("", "gpu:4,shard:16", [4, 4, 4, 4]),
        (
            "Name=shard Count=6 File=/dev/nvidia2\nName=shard Count=4 File=/dev/nvidia[0-1]",
            "gpu:4,shard:10",
            [2, 2, 6, None],
        ),
        ("", "gpu:4", [None] * 4),
    ],
)
def test_shards_are_spread_as_slurm_spreads_them(conf: str, gres: str, expected: list[int | None]) -> None:
    """A count without files over all GPUs, what is left over to the later ones; with files as the lines say."""
    found = order(f"Name=gpu File=/dev/nvidia[0-3]\n{conf}", gres)
    assert [found.shards.get(BY_MINOR[minor]) for minor in range(4)] == expected


def test_settings_state_the_order() -> None:
    """UUIDs or device files, in whatever case; what is not here has no device."""
    found = given_order((UUIDS[2].upper(), "/dev/nvidia2", "/dev/nvidia9"), DeviceIndex(reading()))
    assert found.devices == (UUIDS[2], BY_MINOR[2], None)


def test_an_entry_of_slurm_job_gpus_is_an_index_or_a_uuid() -> None:
    """Slurm 25.11 writes UUIDs where it knows them."""
    found = order("Name=gpu File=/dev/nvidia[2-3]", "gpu:2")
    index = DeviceIndex(reading())
    assert found.device("1", index) == BY_MINOR[3]
    assert found.device("2", index) is None
    assert found.device(UUIDS[0].lower(), index) == UUIDS[0]


def test_the_configuration_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A file that is edited, included or removed, and a node that is named otherwise, change the order."""
    (tmp_path / "slurm.conf").write_text("NodeName=n[1-2] Gres=gpu:2\n")
    conf = tmp_path / "gres.conf"
    conf.write_text("Include gpus.conf\n")
    (tmp_path / "gpus.conf").write_text("NodeName=n1 Name=gpu File=/dev/nvidia[2-3]\n")
    node = SlurmNode("n1", folders=(tmp_path / "none", tmp_path))
    assert minors(node.order(reading())) == [2, 3]
    (tmp_path / "gpus.conf").write_text("NodeName=n1 Name=gpu File=/dev/nvidia[0-1] # other\n")
    assert minors(node.order(reading())) == [0, 1]
    node.rename("n9")
    assert node.order(reading()).problem == "slurm.conf gives this node no GPUs"
    conf.unlink()
    node.rename("n1")
    assert node.order(reading()) == GpuOrder()


def test_a_configuration_that_is_not_understood_says_what_to_do(tmp_path: Path) -> None:
    """The message names the file, the hint the setting that helps."""
    conf = tmp_path / "gres.conf"
    conf.write_text("Name=gpu File=/dev/nvidia[0-\n")
    node = SlurmNode("n1", gres_conf=conf)
    for _ in range(2):  # for as long as it stands there
        with pytest.raises(HolderError, match=r"gres\.conf is not understood") as raised:
            node.order(reading())
        assert "gpu_order" in raised.value.hint


def test_the_order_of_devices_can_stand_in_the_environment(tmp_path: Path) -> None:
    """A list is written as in the file."""
    settings = load_config(AgentSettings, None, {"GPULEDGER_SLURM_GPU_ORDER": '["/dev/nvidia3", "GPU-1"]'})
    assert settings.slurm.gpu_order == ("/dev/nvidia3", "GPU-1")
