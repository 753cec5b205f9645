"""Requests that the OpenAPI document allows, and some that it does not: never a fault, and only documented answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as examples
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.collector.two_teams import Site2, two_teams

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    with two_teams(tmp_path_factory.mktemp("schema")) as found:
        yield found


@pytest.fixture(scope="module")
def api(site: Site2) -> Any:
    schema = schemathesis.openapi.from_url(f"{site.site.url}/openapi.json")
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return schema.exclude(path_regex="verification|as_known")


schema = schemathesis.pytest.from_fixture("api")


@pytest.mark.parametrize("who", ["admin", "zebra-lead", "nobody"])
@schema.parametrize()
@examples(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_whatever_is_asked_is_answered_as_documented(case: Any, site: Site2, who: str) -> None:
    """With every right, with few, and without a token."""
    token = site.tokens.get(who)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    case.call_and_validate(headers=headers, checks=CHECKS)
