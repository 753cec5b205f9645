"""The metric reference is the code's own: a metric that is not on the page, or no more, does not land."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agent.dcgm_fields import FAMILIES as DCGM_FAMILIES
from agent.metrics.catalogue import FAMILIES
from tests.agent.metrics_scene import Scene, run
from tests.docs.metric_reference import page, shown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_page_is_up_to_date(golden: Callable[[str, str], None]) -> None:
    """docs/reference/metrics.md says what the code says; --update-golden writes it."""
    golden(str(PAGE), page())


def test_a_node_that_has_everything_shows_every_family_in_the_order_of_the_table() -> None:
    """The catalogue is complete, and lists nothing that no exporter can show."""
    assert shown(dcgm_names=False) == list(FAMILIES)
    both = shown(dcgm_names=True)
    assert [family for family in both if not family.name.startswith("DCGM_")] == list(FAMILIES)
    assert {family for family in both if family.name.startswith("DCGM_")} == set(DCGM_FAMILIES)


def test_samples_have_the_labels_of_their_family() -> None:
    """Each series carries exactly the labels that the catalogue gives its family, in that order."""
    scene = Scene()
    run(scene)
    declared = {family.name: list(family.labels) for family in FAMILIES}
    for family in text_string_to_metric_families(scene.text()):
        for sample in family.samples:
            assert list(sample.labels) == declared[sample.name]
            assert family.documentation
