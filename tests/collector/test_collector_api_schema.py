"""Requests that the OpenAPI document allows, and some that it does not: never a fault, and only documented answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
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

from collector.api.openapi import document
from collector.api.routes import routes
from collector.imports.payload import MEDIA_TYPE as JOBS
from gpuledger.wire import MEDIA_TYPE as BATCH
from tests.collector.two_teams import Site2, two_teams

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    with two_teams(tmp_path_factory.mktemp("schema")) as found:
        yield found


@schemathesis.serializer("application/toml", BATCH, JOBS)
def as_text(_context: Any, value: Any) -> bytes:
    """Send what was made up as it is: books, batches and job logs are read by code of their own."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


described = schemathesis.openapi.from_dict(msgspec.to_builtins(document(list(routes()), "test")))
described.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
described.config.phases.update(phases=["fuzzing"])
schema = described.exclude(path="/v1/verification")  # makes a bill again from raw: slow, and asked elsewhere


@schema.parametrize()
@examples(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_whatever_is_asked_is_answered_as_documented(case: Any, site: Site2) -> None:
    """With every right, and with few; without a token nothing is read of a request: every endpoint is asked elsewhere."""
    for who in ("admin", "zebra-lead"):
        headers = {"Authorization": f"Bearer {site.tokens[who]}"}
        case.call_and_validate(base_url=site.site.url, headers=headers, checks=CHECKS)
