"""The collector over HTTP: batches in once and for all, answers in three forms, every error a problem with a hint."""

from __future__ import annotations

import csv
import http.client
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
import pytest

from collector.api import answers
from collector.api.openapi import PATH
from collector.api.questions import QUESTIONS
from collector.api.routes import routes
from collector.app import running
from collector.config import CollectorSettings, IngestSettings, LedgerSettings, ServerSettings
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.client import CollectorClient
from gpuledger.errors import TerminalDeliveryError, TransientDeliveryError
from gpuledger.tokens import find_token
from gpuledger.wire import MAX_FRAME_BYTES, MEDIA_TYPE
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, minutes, records

REPOSITORY = Path(__file__).parents[2]
PERIOD = f"{iso(START_US)[:-1]}..{iso(START_US + US_PER_HOUR)[:-1]}"
PRICES = f"""currency = "EUR"
[[price]]
model = "NVIDIA H100*"
rate = "2.40"
from = {iso(START_US - 24 * US_PER_HOUR)}
""".encode()
OWNERS = b"""[[owner]]
team = "vision"
match.namespace = "team-1"
"""


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Site:
    """A running collector and a way to ask it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = find_token(url, env={})  # of the administrator

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        headers = {"authorization": f"Bearer {self.token}", **headers}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, **headers)


def settings(directory: Path, **ingest: Any) -> CollectorSettings:
    return CollectorSettings(
        server=ServerSettings(port=0),
        ledger=LedgerSettings(directory=directory),
        ingest=IngestSettings(**{"window_ms": 1, **ingest}),
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(settings(tmp_path)) as url:
        yield Site(url)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector with twelve batches of an hour, a price and an owner."""
    with running(settings(tmp_path_factory.mktemp("filled"))) as url:
        site = Site(url)
        for sequence in range(12):
            assert site.ask("POST", "/v1/batches", minutes(sequence)).status == 200
        assert site.ask("POST", "/v1/prices?source=book.toml", PRICES, content_type="application/toml").status == 200
        assert site.ask("POST", "/v1/owners", OWNERS, content_type="application/toml").status == 200
        yield site


def test_a_batch_is_acknowledged_once_it_is_stored(site: Site) -> None:
    """The receipt names the batch; sent again it is a duplicate, with status 200."""
    answer = site.ask("POST", "/v1/batches", minutes(0), content_type=MEDIA_TYPE)
    assert answer.status == 200
    assert answer.json == {"agent": "node-a", "boot": "boot-1", "sequence": 0, "rows": 10, "duplicate": False}
    assert site.ask("POST", "/v1/batches", minutes(0)).json["duplicate"] is True
    assert site.get("/v1/status").json["usage_rows"] == 10


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"GET / HTTP/1.1", 422, "not_a_batch"),
        (minutes(1)[:-1] + b"\x00", 422, "checksum"),
        (frame(9, records("GPU-0000", START_US, START_US + 60_000_000, held_us=1)), 422, "shares"),
        (frame(0, records("GPU-0009", START_US, START_US + 60_000_000)), 409, "conflict"),
    ],
)
def test_a_refused_batch_is_a_problem_and_stays_in_quarantine(site: Site, body: bytes, status: int, code: str) -> None:
    """A refusal is an RFC 9457 document with code and hint; the frame is kept and what was taken is untouched."""
    assert site.ask("POST", "/v1/batches", minutes(0)).status == 200
    answer = site.ask("POST", "/v1/batches", body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json.keys() == {"type", "title", "status", "detail", "hint", "code"}
    assert (answer.json["code"], answer.json["status"], bool(answer.json["hint"])) == (code, status, True)
    assert [row["code"] for row in site.get("/v1/quarantine").json["rows"]] == [code]
    assert site.get("/v1/status").json["usage_rows"] == 10
    metrics = site.get("/metrics").body.decode()
    assert f'gpuledger_quarantined_batches_total{{code="{code}"}} 1.0' in metrics
    assert 'gpuledger_batches_total{result="refused"} 1.0' in metrics


def test_a_body_over_the_limit_is_refused_before_it_is_read(site: Site) -> None:
    """A stated length over the limit, and a stream that grows over it, both get 413."""
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    connection.putrequest("POST", "/v1/batches")
    connection.putheader("Authorization", f"Bearer {site.token}")
    connection.putheader("Content-Length", str(MAX_FRAME_BYTES + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, msgspec.json.decode(response.read())["code"]) == (413, "too_large")
    connection.close()
    chunks = (bytes(1024 * 1024) for _ in range(MAX_FRAME_BYTES // 1024 // 1024 + 1))
    headers = {"Transfer-Encoding": "chunked", "Authorization": f"Bearer {site.token}"}
    connection.request("POST", "/v1/batches", chunks, encode_chunked=True, headers=headers)
    assert connection.getresponse().status == 413
    connection.close()
    assert 'gpuledger_quarantined_batches_total{code="too_large"} 2.0' in site.get("/metrics").body.decode()


def test_overload_answers_503_with_retry_after(tmp_path: Path) -> None:
    """With the queue full a batch is refused with 503 and Retry-After; the client sees something that may pass."""
    with running(settings(tmp_path, window_ms=2_000, queue_frames=1)) as url, ThreadPoolExecutor(1) as pool:
        site = Site(url)
        first = pool.submit(site.ask, "POST", "/v1/batches", minutes(0))
        deadline = time.monotonic() + 20
        while "gpuledger_queued_batches 1.0" not in site.get("/metrics").body.decode():
            assert time.monotonic() < deadline
        with pytest.raises(TransientDeliveryError) as caught:
            CollectorClient(url, token=find_token(url)).post_batch(minutes(1))
        assert caught.value.status == 503
        assert caught.value.retry_after_s
        assert first.result().status == 200
        assert CollectorClient(url, token=find_token(url)).post_batch(minutes(1)).rows == 10


def test_many_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    """Forty agents sending side by side, each batch twice, leave each batch once."""
    with running(settings(tmp_path, window_ms=10)) as url, ThreadPoolExecutor(16) as pool:
        site = Site(url)
        frames = [minutes(n % 3, agent=f"node-{n // 3}") for n in range(120)] * 2
        found = list(pool.map(lambda body: site.ask("POST", "/v1/batches", body), frames))
        assert {answer.status for answer in found} == {200}
        assert sum(not answer.json["duplicate"] for answer in found) == 120
        groups = float(next(
            line.split()[1] for line in site.get("/metrics").body.decode().splitlines()
            if line.startswith("gpuledger_commit_batches_count")
        ))  # fmt: skip
        assert groups < 240, "they shared transactions"
    with Ledger.open(tmp_path) as ledger:
        assert ask(ledger, "SELECT count(*), sum(usage_rows) FROM batches") == [(120, 1200)]


def test_charges_follow_prices_and_owners(filled: Site) -> None:
    """What was imported over HTTP is rated before the answer: an hour of a held H100 costs its rate, to its owner."""
    found = filled.get(f"/v1/chargeback?period={PERIOD}&by=team").json
    by_key = {row["key"]: row for row in found["rows"]}
    assert (by_key["vision"]["gpu_hours"], by_key["vision"]["cost"]) == (1.0, "2.40")
    assert (by_key["idle capacity"]["gpu_hours"], found["total"]["cost"]) == (1.0, "4.80")
    again = filled.ask("POST", "/v1/prices?source=book.toml", PRICES, content_type="application/toml").json
    assert again["changed"] is False


def test_a_period_is_closed_once_over_http(site: Site) -> None:
    """Closing answers with what it closed; again it is a conflict, and the invoices can be asked for."""
    for sequence in range(12):
        assert site.ask("POST", "/v1/batches", minutes(sequence)).status == 200
    site.ask("POST", "/v1/prices?source=book.toml", PRICES, content_type="application/toml")
    body = msgspec.json.encode({"period": PERIOD, "by": "ann"})
    closed = site.ask("POST", "/v1/periods", body)
    assert (closed.status, closed.json["cost"], closed.json["invoices"]) == (200, "4.80", 1)
    again = site.ask("POST", "/v1/periods", body)
    assert (again.status, again.json["code"]) == (409, "period")
    assert site.get(f"/v1/chargeback?period={PERIOD}").json["final"] is True
    assert next(row["state"] for row in site.get("/v1/periods").json["rows"]) == "closed"
    [document] = site.get("/v1/invoices").json["rows"]
    found = site.get(f"/v1/invoice?number={document['number']}").json
    assert (found["invoice"]["payable"], len(found["rows"])) == ("4.80", 2)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"period":"2026-13","by":"a"}', b'{"period":"2026-01","by":" "}', b'{"period":1,"by":"a"}',
             b'{"period":"2026-01","by":"a","force":true}', b"\xff", b'{"period":"2026-01","by":"a","period":"2026-02"}',
             b'{"period":"2026-01..2025-01","by":"a"}', b'{"period":"2026-01-01T00:30..2026-01-02","by":"a"}',
             b'{"period":"2026-01","by":"a\\nb"}', b'{"period":"2026-01","by":"a","exception":"\\u0000"}',
             b'{"period":"2026-01","by":"' + b"a" * 1001 + b'"}', b'{"period":"9999-01","by":"a"}'],
)  # fmt: skip
def test_a_request_to_close_that_makes_no_sense(site: Site, body: bytes) -> None:
    """It is refused with what is wrong and how to ask."""
    answer = site.ask("POST", "/v1/periods", body)
    assert (answer.status, bool(answer.json["hint"])) == (400, True)


def test_a_request_to_close_is_small(site: Site) -> None:
    """Nobody can have the collector hold megabytes that it would only refuse."""
    answer = site.ask("POST", "/v1/periods", b'{"period":"2026-01","by":"' + b"a" * 70_000 + b'"}')
    assert (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "asked",
    [
        q
        for q in QUESTIONS
        if answers.CSV in answers.offered_for(q.answer) and all(p.default is not None for p in q.parameters)
    ],
    ids=lambda asked: asked.name,
)
def test_rows_come_as_json_csv_and_arrow(filled: Site, asked: Any) -> None:
    """The same rows in three forms: as many, with the same columns, values and order."""
    path = asked.path + (f"?period={PERIOD}" if any(p.name == "period" for p in asked.parameters) else "")
    answer = filled.get(path, accept="application/json")
    assert answer.status == 200, answer.body
    rows = answer.json.get("rows", [answer.json])  # an answer without rows is one itself
    as_csv = filled.get(path, accept="text/csv;q=1, */*;q=0.1")
    assert as_csv.headers["Content-Type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(as_csv.body.decode())))
    arrow = filled.get(path, accept=answers.ARROW)
    table = pa.ipc.open_stream(arrow.body).read_all()
    assert arrow.headers["Content-Type"] == answers.ARROW
    assert len(rows) == len(read) == table.num_rows
    for row, text, values in zip(rows, read, table.to_pylist(), strict=True):
        for name, value in row.items():
            if isinstance(value, dict):
                assert {f"{name}.{key}": each for key, each in value.items()}.items() <= values.items()
            else:
                cell = len(value) if isinstance(value, list) else value
                assert values[name] == cell
                assert text[name] == ("" if cell is None else str(cell))


def test_an_answer_without_rows_is_still_a_table(site: Site) -> None:
    """Nothing found is a header without lines in CSV, and a table with columns in Arrow."""
    path = f"/v1/chargeback?period={PERIOD}"
    header = site.get(path, accept="text/csv").body.decode().strip()
    assert header.startswith("key,kind,gpu_hours")
    assert header.endswith("period,currency")
    assert "key" in pa.ipc.open_stream(site.get(path, accept=answers.ARROW).body).read_all().column_names


@pytest.mark.parametrize(
    ("path", "accept", "status", "code", "hint"),
    [
        ("/v1/chargeback?period=2026-13", "*/*", 400, "parameter", "2026-11"),
        ("/v1/chargeback?by=tean", "*/*", 400, "parameter", 'did you mean "team"?'),
        ("/v1/chargeback?perod=2026-11", "*/*", 400, "parameter", 'did you mean "period"?'),
        ("/v1/usage?limit=-1", "*/*", 400, "parameter", "from 1 to"),
        ("/v1/usage?limit=99999999999999999999", "*/*", 400, "parameter", "from 1 to"),
        ("/v1/usage?limit=" + "9" * 5_000, "*/*", 400, "parameter", "from 1 to"),
        ("/v1/status", "text/csv", 406, "not_acceptable", "Accept"),
        ("/v1/nothing", "*/*", 404, "not_found", "openapi"),
        ("/v1/batches", "*/*", 405, "method", "openapi"),
    ],
)
def test_a_wrong_question_is_a_problem_with_a_hint(
    filled: Site, path: str, accept: str, status: int, code: str, hint: str
) -> None:
    """A bad parameter, an unknown path, a wrong method and an unknown form are told apart, with the next step."""
    answer = filled.get(path, accept=accept)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (answer.json["code"], answer.json["status"]) == (code, status)
    assert hint in answer.json["hint"]


def test_a_mapping_is_held_against_the_ledger_over_http(filled: Site) -> None:
    """It can be tested, and a holder explained by it, without being stored; a file of people becomes the directory."""
    new = OWNERS.replace(b"vision", b"language")
    mapping = filled.get("/v1/owners").json
    tested = filled.ask("POST", f"/v1/owners/test?period={PERIOD}", new, content_type="application/toml").json
    assert [(row["from_team"], row["to_team"], row["gpu_hours"]) for row in tested["rows"]] == [
        ("vision", "language", 1.0)
    ]
    (held,) = {row["holder"] for row in filled.get(f"/v1/usage?period={PERIOD}").json["rows"] if row["holder"]}
    tried = filled.ask("POST", f"/v1/owners/explain?holder={held}", new, content_type="application/toml").json
    assert [owner["team"] for owner in tried["owners"]] == ["language"]
    assert [owner["team"] for owner in filled.get(f"/v1/owner?holder={held}").json["owners"]] == ["vision"]
    assert filled.get("/v1/owners").json == mapping
    people = filled.ask("POST", "/v1/directory?source=people.csv", b"user,team\nana,vision\n", content_type="text/csv")
    assert (people.status, people.json["version"]) == (200, 1)
    assert [row["user"] for row in filled.get("/v1/directory").json["rows"]] == ["ana"]
    hours = filled.ask("POST", "/v1/carbon", b"region,hour,g_per_kwh\nn,2026-01-01,5\n", content_type="text/csv")
    assert (hours.status, hours.json["entries"]) == (200, 1)
    assert [row["region"] for row in filled.get("/v1/carbon").json["rows"]] == ["n"]


def test_policies_are_tried_and_imported_over_http(filled: Site) -> None:
    """A trial stores nothing; a book becomes the newest; one that cannot be used is refused with its place."""
    book = b'[[policy]]\nidle = "even"\n'
    tried = filled.ask("POST", "/v1/policies/trial?source=p.toml", book, content_type="application/toml")
    assert (tried.status, tried.json["version"], tried.json["changed"]) == (200, 1, True)
    assert {row["team"]: row["change"] for row in tried.json["rows"]} == {"": "-2.40", "vision": "2.40"}
    assert filled.get("/v1/policies").json["version"] is None
    bad = filled.ask("POST", "/v1/policies", b'[[policy]]\nidle = "x"\n', content_type="application/toml")
    assert (bad.status, bad.json["code"]) == (422, "policy_book")
    assert filled.ask("POST", "/v1/policies", book, content_type="application/toml").json["version"] == 1
    assert filled.get("/v1/policies").json["rows"][0]["settings"] == {"idle": "even"}
    assert filled.get("/v1/status").json["policy_version"] == 1
    [row] = filled.get(f"/v1/gap?period={PERIOD}").json["rows"]
    assert (row["team"], row["allocation_cost"]) == ("vision", "2.40")


def test_a_bad_price_book_changes_nothing(filled: Site) -> None:
    """A book that cannot be used is refused with its fault, and the one before stays."""
    before = filled.get("/v1/prices").json
    for body, kind, status in ((b"nonsense", "application/toml", 422), (PRICES, "application/pdf", 400)):
        answer = filled.ask("POST", "/v1/prices", body, content_type=kind)
        assert (answer.status, bool(answer.json["hint"])) == (status, True)
    assert filled.get("/v1/prices").json == before


def test_openapi_lists_exactly_the_routes(filled: Site) -> None:
    """The document describes every route and no other, and each described GET answers."""
    found = filled.get(PATH).json
    listed = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert listed == {(route.method, route.path) for route in routes()} | {("GET", PATH)}
    needs = {route.path for route in routes() if any(parameter.default is None for parameter in route.parameters)}
    for method, path in listed:
        if method == "GET":
            assert filled.get(path).status == (400 if path in needs else 200), path
    references = {part.split('"')[0] for part in msgspec.json.encode(found).decode().split("#/components/schemas/")[1:]}
    assert references <= found["components"]["schemas"].keys()


def test_shares_are_imported_over_http(site: Site) -> None:
    """A share file is a book like the others; what is wrong with it is a problem with its place and the next step."""
    shares = b'[[share]]\nteam = "vision"\ngpus = 4\n'
    assert site.ask("POST", "/v1/shares", shares, **{"Content-Type": "application/toml"}).json["version"] == 1
    assert [row["gpus"] for row in site.get("/v1/shares").json["rows"]] == [4.0]
    refused = site.ask("POST", "/v1/shares?source=s.toml", shares * 2, **{"Content-Type": "application/toml"})
    assert (refused.status, refused.json["code"]) == (422, "share_book")
    assert refused.json["detail"].startswith("s.toml: shares 1 and 2 overlap")
    assert site.get("/v1/loans?period=2026-10").json["share_versions"] == [1]
    assert site.get("/v1/quotas?period=2026-10", Accept="text/csv").body.startswith(b"cluster,pool,model")


def test_health_and_readiness(site: Site) -> None:
    """Alive says nothing of the ledger; ready has just committed."""
    assert site.get("/healthz").json == {"status": "alive"}
    assert site.get("/readyz").json == {"status": "ready"}


def test_metrics_show_the_ledger_by_team(filled: Site) -> None:
    """Cost and GPU-seconds by team, what is unpriced and unobserved, lag and batches are on /metrics."""
    answer = filled.get("/metrics")
    text = answer.body.decode()
    assert answer.headers["Content-Type"].startswith("text/plain")
    for line in (
        'gpuledger_batches_total{result="taken"} 12.0',
        "gpuledger_ingested_rows_total 120.0",
        "gpuledger_unobserved_gpu_seconds_total 0.0",
    ):
        assert line in text
    for name in ('gpuledger_ingest_lag_seconds{cluster="c1"}', "gpuledger_team_cost_total", "gpuledger_team_gpu_seconds_total",
                 "gpuledger_unpriced_gpu_seconds_total", "gpuledger_commit_duration_seconds_bucket", "gpuledger_queued_batches"):  # fmt: skip
        assert name in text


def test_the_client_tells_what_may_pass_from_what_may_not(filled: Site) -> None:
    """Through the project's own client a refusal is terminal and carries the hint."""
    with pytest.raises(TerminalDeliveryError) as caught:
        CollectorClient(filled.url, token=filled.token).post_batch(b"broken")
    assert caught.value.status == 422
    assert caught.value.hint


def test_sigterm_commits_and_leaves(tmp_path: Path) -> None:
    """The process tells where it listens, ends with 0 on SIGTERM, and its ledger opens at once with all it took."""
    ready = tmp_path / "ready"
    code = """if True:
        import os, sys
        from pathlib import Path
        from collector.app import run
        from collector.config import CollectorSettings
        from gpuledger.config import load_config
        sys.exit(run(load_config(CollectorSettings, None, os.environ), ready_file=Path(sys.argv[1])))
    """
    env = {**os.environ, "GPULEDGER_SERVER_PORT": "0", "GPULEDGER_LEDGER_DIRECTORY": str(tmp_path / "ledger")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(ready)], cwd=REPOSITORY, env=env, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() or not ready.read_text():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
        url = ready.read_text()
        assert CollectorClient(url, token=find_token(url)).post_batch(minutes(0)).rows == 10
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    assert not (tmp_path / "ledger" / "ledger.duckdb.wal").exists(), "everything is in the file"
    with Ledger.open(tmp_path / "ledger", read_only=True) as ledger:
        assert ask(ledger, "SELECT count(*) FROM usage") == [(10,)]
