"""The page of who may do what is the code's own: a route that is not on it, or no more, does not land."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collector.access.roles import GRANTS, MEANS, Right, Role
from tests.docs.access_reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "access.md"


def test_the_page_is_up_to_date(golden: Callable[[str, str], None]) -> None:
    """docs/reference/access.md says what the code says; --update-golden writes it."""
    golden(str(PAGE), page())


def test_every_right_is_said_and_somebody_has_it() -> None:
    """A right that no role has would be a route that nobody can ask."""
    assert set(MEANS) == set(Right)
    assert set(GRANTS) == set(Role)
    assert set(Right) == set().union(*GRANTS.values())
