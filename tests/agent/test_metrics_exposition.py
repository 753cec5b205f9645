"""The text of a page: read back by real parsers, in the format that was asked for."""

from __future__ import annotations

import gzip
import math
import os
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.metrics.catalogue import FAMILIES
from agent.metrics.exposition import gzipped, render, wants_gzip, wants_openmetrics
from agent.metrics.family import COUNTER, GAUGE, INFO, Family
from tests.agent.metrics_scene import Scene, run

PROMTOOL = shutil.which("promtool")
if PROMTOOL is None and os.environ.get("CI") == "true":
    pytest.fail("promtool is missing: apt-get install prometheus", pytrace=False)

# What Prometheus 2.x and 3.x ask for.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_TEXT_FIRST = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.1"


def test_values_are_written_exactly() -> None:
    """Integers stay integers, and every float reads back as the same number."""
    values = [0, 1, 2**63, 0.1, 1e-9, 1e300, 123456789.123456789, math.inf]
    family = Family("name", GAUGE, "Help.", ("n",))
    page = render([(family, [(f'{{n="{n}"}}', value) for n, value in enumerate(values)])]).decode()
    (found,) = parse_text(page)
    assert [sample.value for sample in found.samples] == values
    assert f'name{{n="2"}} {2**63}\n' in page


def test_a_family_without_samples_is_left_out() -> None:
    """What has no value has no line, not even its help."""
    assert render([(Family("name", GAUGE, "Help."), [])]) == b""


def test_text_and_openmetrics_name_counters_and_identities_each_in_their_way() -> None:
    """OpenMetrics names the family without the suffix of its samples, says the unit, and ends with EOF."""
    families = [
        (Family("things_seconds_total", COUNTER, 'A "help"\nof \\ two lines.', (), "seconds"), [("", 1.5)]),
        (Family("thing_info", INFO, "Which.", ("name",)), [('{name="x"}', 1)]),
        (Family("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", COUNTER, "Not named like a counter."), [("", 2)]),
        (Family("DCGM_FI_DEV_POWER_USAGE", GAUGE, "In W.", (), "W"), [("", 2)]),
    ]
    assert render(families).decode().splitlines() == [
        '# HELP things_seconds_total A "help"\\nof \\\\ two lines.',
        "# TYPE things_seconds_total counter",
        "things_seconds_total 1.5",
        "# HELP thing_info Which.",
        "# TYPE thing_info gauge",
        'thing_info{name="x"} 1',
        "# HELP DCGM_FI_DEV_PCIE_REPLAY_COUNTER Not named like a counter.",
        "# TYPE DCGM_FI_DEV_PCIE_REPLAY_COUNTER counter",
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER 2",
        "# HELP DCGM_FI_DEV_POWER_USAGE In W.",
        "# TYPE DCGM_FI_DEV_POWER_USAGE gauge",
        "DCGM_FI_DEV_POWER_USAGE 2",
    ]
    page = render(families, openmetrics=True).decode()
    assert page.endswith("\n# EOF\n")
    found = {family.name: (family.type, family.unit) for family in parse_openmetrics(page)}
    assert found == {
        "things_seconds": ("counter", "seconds"),
        "thing": ("info", ""),
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("unknown", ""),
        "DCGM_FI_DEV_POWER_USAGE": ("gauge", ""),
    }


def test_both_formats_say_the_same_of_everything() -> None:
    """A whole page, DCGM names included, has the same samples in both formats."""
    scene = Scene(dcgm_names=True)
    run(scene)
    pages = [
        {
            (
                one.name if one.name.startswith("gpuledger_") else one.name.removesuffix("_total"),
                *sorted(one.labels.items()),
            ): one.value
            for family in found
            for one in family.samples
        }
        for found in (parse_text(scene.text()), parse_openmetrics(scene.exporter.text(openmetrics=True).decode()))
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]) == scene.series()


def test_no_series_is_written_twice() -> None:
    """Each name with its labels stands once on a page."""
    scene = Scene(dcgm_names=True)
    run(scene)
    series = [line.rpartition(" ")[0] for line in scene.text().splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")
def test_prometheus_finds_nothing_to_complain_about() -> None:
    """`promtool check metrics` accepts the page; of DCGM's names it only dislikes how they are written."""
    scene = Scene()
    run(scene)
    plain = promtool(scene)
    assert (plain.returncode, plain.stdout + plain.stderr) == (0, "")
    scene = Scene(dcgm_names=True)
    run(scene)
    assert all(line.startswith("DCGM_") for line in promtool(scene).stderr.splitlines())


def promtool(scene: Scene) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=scene.text(), capture_output=True, text=True, timeout=60, check=False
    )


def test_names_follow_the_conventions() -> None:
    """Counters end in _total, identities in _info, units stand last; nothing else does."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.name.startswith(("gpuledger_", "process_"))
        assert family.name.endswith("_total") is (family.kind == COUNTER)
        assert family.name.endswith("_info") is (family.kind == INFO)
        if family.unit:
            assert family.name.removesuffix("_total").endswith(f"_{family.unit}")
        assert family.help.endswith(".")


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_TEXT_FIRST, False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0,text/plain", False),
        ("application/openmetrics-text; q=what", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("*/*", False),
        ("", False),
        (",,;;q=", False),
    ],
)
def test_the_format_is_the_one_asked_for(accept: str, *, openmetrics: bool) -> None:
    """OpenMetrics where the scraper ranks it at least as high as text; text for everybody else."""
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("header", "gzip_wanted"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True), ("identity", False), ("", False)],
)
def test_pages_are_compressed_for_who_takes_it(header: str, *, gzip_wanted: bool) -> None:
    """Gzip only where it is accepted."""
    assert wants_gzip(header) is gzip_wanted
    assert gzip.decompress(gzipped(b"page")) == b"page"
