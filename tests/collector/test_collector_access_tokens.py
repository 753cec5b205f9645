"""Tokens: hashed, expiring, revocable; agents enrol and deliver only their own; attacks are refused and on record."""

from __future__ import annotations

import http.client
import os
import stat
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collector.access import secrets
from collector.access.gate import DENIED, READ_ALL, REFUSED
from collector.access.identity import EVERYTHING, Identity, covers, parse_nodes
from collector.access.limits import Buckets
from collector.access.roles import GRANTS, Right, Role, may
from collector.access.start import take_over
from collector.access.tally import OTHERS, Tally
from collector.access.tokens import TokenBook, Wanted
from collector.app import running
from collector.audit.log import entries
from collector.config import AccessSettings, CollectorSettings, LimitSettings, ServerSettings
from collector.ledger.store import Ledger
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from gpuledger.tokens import find_token, left_here, noted, read_token, write_token
from tests.collector.ask import ask as sql
from tests.collector.batches import START_US, minutes
from tests.collector.test_collector_api import Site, settings

DAY_US = 86_400 * US_PER_SECOND


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START_US)


@pytest.fixture
def site(tmp_path: Path, clock: VirtualClock) -> Iterator[Site]:
    with running(settings(tmp_path), clock=clock) as url:
        yield Site(url)


def make(site: Site, body: str) -> str:
    """Make a token; return its secret."""
    made = site.ask("POST", "/v1/tokens", body.encode())
    assert made.status == 200, made.body
    return str(made.json["secret"])


def as_(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def acts(site: Site, act: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = site.get(f"/v1/audit?act={act}").json["rows"]
    return found


def test_only_the_hash_of_a_token_is_kept(site: Site, tmp_path: Path) -> None:
    """No file of the ledger has the token; lists show the beginning of it."""
    token = make(site, '{"role":"finance","name":"fin"}')
    assert len(token) >= 43
    assert site.get("/v1/whoami", **as_(token)).json["name"] == "fin"
    row = next(row for row in site.get("/v1/tokens").json["rows"] if row["name"] == "fin")
    assert token.startswith(row["starts_with"].rstrip("…"))
    assert token not in site.get("/v1/tokens").body.decode()
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert all(token.encode() not in path.read_bytes() for path in files)


def test_an_expired_token_is_refused_and_on_record(site: Site, clock: VirtualClock) -> None:
    """From the very instant on; replayed later, and with the clock of the one who asks at what it likes."""
    token = make(site, '{"role":"finance","name":"fin","expires":"2026-07-01T00:00:00Z"}')
    assert site.get("/v1/status", **as_(token)).status == 200
    clock.sleep_until(START_US + 400 * DAY_US, threading.Event())
    refused = site.get("/v1/status", **as_(token))
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "expired" not in refused.json["detail"], "whoever asks is not told what is wrong with it"
    [said] = acts(site, DENIED)
    assert (said["actor"], said["details"]["why"]) == ("fin", "token 4 expired")  # type: ignore[index]


def test_a_revoked_token_is_refused_at_once_and_for_ever(site: Site) -> None:
    """It cannot be revoked twice, and its name is free again."""
    token = make(site, '{"role":"finance","name":"fin"}')
    assert b'called \\"fin\\" already' in site.ask("POST", "/v1/tokens", b'{"role":"admin","name":"fin"}').body
    assert site.ask("POST", "/v1/tokens/4/revocation", b'{"why":"left"}').json["state"] == "revoked"
    assert site.get("/v1/whoami", **as_(token)).status == 401
    assert site.ask("POST", "/v1/tokens/4/revocation", b"{}").status == 400
    assert site.ask("POST", "/v1/tokens/99/revocation", b"{}").status == 400
    assert make(site, '{"role":"finance","name":"fin"}') != token
    [said] = acts(site, "token.revoke")
    assert said["details"] == {"name": "fin", "why": "left"}


@pytest.mark.parametrize(
    "header",
    [
        "Bearer gpuledger_AAAA", "Bearer ", "Basic YWRtaW46", "Bearer " + "A" * 5_000, "bearer \xff\xfe", "Token x",
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.",
    ],
)  # fmt: skip
def test_a_forged_token_opens_nothing(site: Site, header: str) -> None:
    """Not even what needs none on this machine: whoever gives a token means it."""
    assert site.get("/v1/status", authorization=header).status == 401


def test_a_token_in_a_query_parameter_is_no_token(site: Site) -> None:
    """It would stand in logs of proxies; the parameter is refused as any unknown one."""
    token = make(site, '{"role":"finance","name":"fin"}')
    answer = site.get(f"/v1/tokens?token={token}&access_token={token}", authorization="", host="collector.example")
    assert answer.status == 401
    assert site.get(f"/v1/devices?token={token}").status == 400


def test_nobody_fills_the_log_with_refusals(site: Site, tmp_path: Path) -> None:
    """A thousand forged tokens are a few events, and the number of the others."""
    for n in range(60):
        site.get("/v1/status", authorization=f"Bearer forged-{n}")
    assert len(acts(site, DENIED)) == 1
    assert site.get("/v1/status", authorization="Bearer x").status == 401


def test_a_tally_names_the_first_and_counts_the_rest(tmp_path: Path, clock: VirtualClock) -> None:
    """At most so many names in a window; what came again is said once the window ends."""
    with Ledger.open(tmp_path, clock=clock) as ledger:
        tally = Tally(ledger, clock, window_s=60, most=2)
        for who in ("a", "a", "b", "c", "d", "a"):
            tally.note("x", who, "s", {"who": who})
        assert _log(ledger) == [("x", "a"), ("x", "b")]
        tally.flush()
        assert _log(ledger)[2:] == [("x", "a"), ("x", OTHERS)]
        with ledger.snapshot() as session:
            said = [entry for entry in entries(session) if b'"again":2' in entry]
        assert len(said) == 2


def _log(ledger: Ledger) -> list[tuple[str, str]]:
    return [(act, actor) for act, actor in sql(ledger, "SELECT act, actor FROM audit_events ORDER BY sequence")]


def test_reading_what_is_of_all_teams_is_on_record(site: Site) -> None:
    """By name, once an hour a route; nobody's own machine is not named."""
    token = make(site, '{"role":"finance","name":"fin"}')
    for _ in range(3):
        assert site.get("/v1/devices", **as_(token)).status == 200
    mine = [row for row in acts(site, READ_ALL) if row["actor"] == "fin"]
    assert [row["subject"] for row in mine] == ["/v1/devices"]


def test_a_refusal_names_who_and_what(site: Site) -> None:
    """A viewer who would import prices."""
    token = make(site, '{"role":"viewer","name":"vic","teams":["*"]}')
    refused = site.ask("POST", "/v1/prices", b"", content_type="application/toml", **as_(token))
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    [said] = acts(site, REFUSED)
    assert (said["actor"], said["subject"]) == ("vic", "POST /v1/prices")


def test_an_agent_enrols_and_delivers_only_its_own(site: Site) -> None:
    """Its token is bound to it; a second time changes nothing; another cannot take its name."""
    join = left_here(site.url, "join")
    assert join
    mine, other = secrets.make(), secrets.make()

    def enrol(agent: str, token: str, by: str = join) -> int:
        body = f'{{"agent":"{agent}","digest":"{sha256(token.encode()).hexdigest()}"}}'
        return site.ask("POST", "/v1/agents", body.encode(), **as_(by)).status

    assert [enrol("node-a", mine), enrol("node-a", mine), enrol("node-a", other)] == [200, 200, 409]
    assert enrol("node-b", mine) == 409, "no token is that of two agents"
    assert enrol("node-b", other) == 200
    assert enrol("node-c", secrets.make(), by=mine) == 403, "an agent enrols nobody"
    forged = site.ask("POST", "/v1/batches", minutes(0), **as_(other))
    assert (forged.status, forged.json["code"]) == (403, "forbidden")
    assert site.get("/v1/quarantine").json["rows"] == []
    assert site.ask("POST", "/v1/batches", minutes(0), **as_(mine)).status == 200
    assert site.ask("POST", "/v1/batches", minutes(1), **as_(join)).status == 403
    assert site.get("/v1/status", **as_(mine)).status == 403, "an agent reads nothing"
    assert [row["subject"] for row in acts(site, "agent.enrol")] == ["node-b", "node-a"]


def test_a_join_token_enrols_as_many_as_it_says(site: Site) -> None:
    """And no more."""
    join = make(site, '{"role":"join","uses":1}')
    bodies = [f'{{"agent":"n{n}","digest":"{sha256(bytes([n])).hexdigest()}"}}'.encode() for n in range(2)]
    assert [site.ask("POST", "/v1/agents", body, **as_(join)).status for body in bodies] == [200, 409]


@pytest.mark.parametrize(
    "body",
    [
        '{"role":"king"}', '{"role":"viewer"}', '{"role":"viewer","teams":["*","a"]}', '{"role":"admin","teams":["a"]}',
        '{"role":"viewer","teams":["acme/nobody"]}', '{"role":"viewer","teams":["platform"]}', '{"role":"agent"}', '{"role":"viewer","teams":["a/b/c/d"]}', '{"role":"viewer","teams":[" "]}',
        '{"role":"finance","uses":3}', '{"role":"join","uses":0}', '{"role":"admin","name":"collector"}',
        '{"role":"admin","name":"a\\u0000b"}', '{"role":"admin","expires":"2020-01-01T00:00:00Z"}',
        '{"role":"admin","role":"viewer"}', '{"role":"admin","uses":1e400}', '{"role":"admin","hidden":1}',
    ],
)  # fmt: skip
def test_a_token_that_makes_no_sense_is_not_made(site: Site, body: str) -> None:
    """With what is wrong, and what to do."""
    refused = site.ask("POST", "/v1/tokens", body.encode())
    assert (refused.status, bool(refused.json["hint"])) == (400, True), refused.body
    assert len(site.get("/v1/tokens").json["rows"]) == 3


def test_the_first_start_leaves_tokens_for_its_user_only(tmp_path: Path) -> None:
    """A second start takes them as they are; another text in a file is another token, and the old one ends."""
    for _ in range(2):
        with running(settings(tmp_path)) as url:
            assert [row["name"] for row in Site(url).get("/v1/tokens").json["rows"]] == ["admin", "join", "viewer"]
    for name in ("admin", "join", "viewer"):
        path = tmp_path / "access" / f"{name}.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    old = read_token(tmp_path / "access" / "admin.token")
    write_token(tmp_path / "access" / "admin.token", "0123456789abcdef" * 4)
    write_token(tmp_path / "access" / "viewer.token", "fedcba9876543210" * 4)
    with running(settings(tmp_path)) as url:
        site = Site(url)
        assert [row["state"] for row in site.get("/v1/tokens").json["rows"]] == [
            "revoked", "live", "revoked", "live", "live",
        ]  # fmt: skip
        assert site.get("/v1/whoami", **as_(old)).status == 401
        assert site.get("/v1/whoami", **as_("fedcba9876543210" * 4)).json["role"] == "viewer"


def test_a_file_without_a_good_token_stops_the_start(tmp_path: Path) -> None:
    """`changeme` is no secret."""
    write_token(tmp_path / "admin.token", "changeme")
    with Ledger.open(tmp_path / "ledger") as ledger, pytest.raises(ConfigError, match="hard to guess"):
        take_over(TokenBook(ledger), tmp_path, ledger.now_us())


def test_off_loopback_everything_needs_a_token(tmp_path: Path) -> None:
    """Reading and metrics too; whether the process lives is open, since orchestrators ask that."""
    given = settings(tmp_path)
    given = CollectorSettings(server=ServerSettings("0.0.0.0", 0), ledger=given.ledger, ingest=given.ingest)
    with running(given) as url:
        site = Site(url.replace("0.0.0.0", "127.0.0.1"))
        site.token = read_token(tmp_path / "access" / "admin.token")
        for path in ("/v1/status", "/metrics", "/v1/whoami", "/v1/devices"):
            assert (path, _status(site, path)) == (path, 401)
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (path, _status(site, path)) == (path, 200)
        assert site.get("/metrics").status == 200


def _status(site: Site, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_on_loopback_nobody_in_particular_reads_and_changes_nothing(site: Site) -> None:
    """Only at the machine itself: not through a proxy, nor as a web page that resolved its own name to here."""
    assert _status(site, "/v1/devices") == 200
    assert _status(site, "/metrics") == 200
    assert _status(site, "/v1/tokens") == _status(site, "/v1/audit") == 401
    assert _status(site, "/v1/devices", Host="evil.example:8470") == 401
    assert _status(site, "/v1/devices", **{"X-Forwarded-For": "10.0.0.1"}) == 401
    answer = site.get("/v1/devices", origin="https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_anonymous_reading_is_switched_off(tmp_path: Path) -> None:
    """[access] anonymous = "none"."""
    given = settings(tmp_path)
    access = AccessSettings(anonymous="none", open_metrics=False)
    with running(CollectorSettings(given.server, given.ledger, given.ingest, access=access)) as url:
        site = Site(url)
        assert _status(site, "/v1/devices") == _status(site, "/metrics") == 401


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    """One who asks does not use up what another may."""
    given = settings(tmp_path)
    limits = LimitSettings(requests_per_second=0.1, requests_burst=3, strangers_per_second=0.1, strangers_burst=2)
    with running(CollectorSettings(given.server, given.ledger, given.ingest, limits=limits)) as url:
        site = Site(url)
        seen = [site.get("/v1/whoami") for _ in range(5)]
        assert [each.status for each in seen] == [200, 200, 200, 429, 429]
        assert int(seen[-1].headers["Retry-After"]) >= 1
        assert _status(site, "/v1/devices") == 200
        assert [_status(site, "/v1/devices", authorization="Bearer no") for _ in range(3)] == [401, 401, 429]


def test_a_bucket_fills_again() -> None:
    """So many a second, never more than it holds."""
    now = [0.0]
    buckets = Buckets(2.0, 3, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 1]
    now[0] = 1_000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_the_table_of_roles_gives_bound_identities_their_own_rows_only() -> None:
    """Whatever a role may, bound to a team it reads, disputes and asks for approval."""
    for role in Role:
        assert {right for right in Right if may(role, right, bound=True)} <= {
            Right.NOTHING, Right.WHO, Right.READ, Right.DISPUTE, Right.REQUEST,
        }  # fmt: skip
    assert set(GRANTS) == set(Role)
    assert Right.DELIVER in GRANTS[Role.AGENT]
    assert Right.READ not in GRANTS[Role.AGENT] | GRANTS[Role.JOIN]


def test_nodes_cover_what_lies_under_them() -> None:
    """A department covers its teams; a name that begins alike is another."""
    nodes = parse_nodes(Role.VIEWER, ["acme/research", "acme/products/vision"])
    assert covers(nodes, ("acme", "research", "language"))
    assert covers(nodes, ("acme", "products", "vision", "captions"))
    assert not covers(nodes, ("acme", "products", "visions"))
    assert not covers(nodes, ("acme", "", ""))
    assert parse_nodes(Role.VIEWER, [EVERYTHING]) == ()
    assert Identity("x", Role.VIEWER, nodes).bound


def test_a_note_of_a_process_that_is_gone_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may listen on its port now; nor is a note followed from a folder where others write."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    write_token(tmp_path / "access" / "admin.token", "secret" * 10)
    url = "http://127.0.0.1:4711"
    with noted(url, tmp_path / "access"):
        assert find_token(url, env={}) == "secret" * 10
        assert find_token("http://elsewhere:4711", env={}) is None
        assert find_token(url, env={"GPULEDGER_TOKEN": "other"}) == "other"
        note = tmp_path / "gpuledger" / "collector-4711.json"
        note.write_text(note.read_text().replace(str(os.getpid()), "4194304"))
        assert find_token(url, env={}) is None
    with noted(url, tmp_path / "access"):
        (tmp_path / "gpuledger").chmod(0o777)
        assert find_token(url, env={}) is None
    assert find_token(url, env={}) is None


def test_a_book_reads_what_another_wrote(tmp_path: Path) -> None:
    """As after a restart; also a bound one."""
    with Ledger.open(tmp_path) as ledger:
        token, made = TokenBook(ledger).create(Wanted(Role.TEAM_LEAD, (("acme", "research", ""),), "ann"))
        again = TokenBook(ledger).find(token)
        assert again == made
        assert again is not None
        assert again.identity == Identity("ann", Role.TEAM_LEAD, (("acme", "research", ""),), "", made.id)
