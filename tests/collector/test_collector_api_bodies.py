"""JSON bodies mean one thing only, at every route that takes one: what could be read in two ways is refused whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collector.api.answers import JSON
from collector.api.bodies import MAX_DEPTH, MAX_DIGITS, parse_request
from collector.api.changes import AdjustmentRequest
from collector.api.routes import Route, routes
from collector.app import running
from gpuledger.errors import ConfigError
from gpuledger.tokens import left_here
from tests.collector.test_collector_api import Site, settings

TAKING_JSON = [route for route in routes() if JSON in route.body_types]
BAD = {
    "a name twice": b'{"by":"ann","by":"bob","why":"x"}',
    "a name twice, inside": b'{"by":"ann","why":{"a":1,"a":2}}',
    "a name twice, by an escape": b'{"by":"ann","\\u0062y":"bob","why":"x"}',
    "a huge number": b'{"by":' + b"9" * 5_000 + b"}",
    "a huge exponent": b'{"by":1e999999999}',
    "no number": b'{"by":NaN}',
    "infinity": b'{"by":-Infinity}',
    "deep arrays": b'{"by":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "UTF-16": '{"by":"ann"}'.encode("utf-16"),
    "UTF-32": '{"by":"ann"}'.encode("utf-32-be"),
    "a byte order mark": b'\xef\xbb\xbf{"by":"ann"}',
    "Latin-1": '{"by":"Jörg"}'.encode("latin-1"),
    "overlong UTF-8": b'{"by":"\xc0\xaf"}',
    "half of a character": b'{"by":"\\ud800","why":"x"}',
    "nothing": b"",
    "an array": b"[]",
    "null": b"null",
    "text after it": b'{"by":"ann"} {}',
    "not closed": b'{"by":"ann"',
    "an unknown name": b'{"by":"ann","__proto__":{}}',
    "a NUL": b'{"by":"a\x00b"}',
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(settings(tmp_path_factory.mktemp("bodies"))) as url:
        yield Site(url)


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("route", TAKING_JSON, ids=lambda route: route.path)
def test_a_body_that_is_not_plain_is_refused(site: Site, route: Route, how: str) -> None:
    """With 400 and what is taken here; nothing is done."""
    token = left_here(site.url, "join") if route.path == "/v1/agents" else site.token
    answer = site.ask(
        "POST", route.path.replace("{number}", "99"), BAD[how], content_type=JSON, authorization=f"Bearer {token}"
    )
    assert (answer.status, bool(answer.json["hint"])) == (400, True), answer.body


def test_what_is_plain_is_taken() -> None:
    """Brackets in text are no nesting, and long numbers as text no numbers."""
    deep, long = "[" * 5 * MAX_DEPTH, "1" * 2 * MAX_DIGITS
    text = f'{{"owner":"{deep}\\"[","amount":"{long}","currency":"EUR","by":"a","why":"b"}}'
    assert parse_request(text.encode(), AdjustmentRequest, "{}").owner == f'{deep}"['
    with pytest.raises(ConfigError, match="given twice"):
        parse_request(b'{"owner":"a","owner":"a"}', AdjustmentRequest, "{}")
