"""An agent's own token: made here, registered once with a join token, and kept for its user only beside the spool."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import AgentSection, AgentSettings, CollectorSection, SpoolSection
from agent.enrolment import FILE, EnrolledCollector, join_token
from collector.app import running
from gpuledger.errors import ConfigError, TerminalDeliveryError
from gpuledger.tokens import find_token, left_here, read_token, write_token
from tests.collector.batches import minutes
from tests.collector.test_collector_api import Site, settings


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(settings(tmp_path / "ledger")) as url:
        yield Site(url)


def agent(site: Site, folder: Path, name: str = "node-a", **collector: object) -> AgentSettings:
    return AgentSettings(
        agent=AgentSection(name=name),
        spool=SpoolSection(directory=folder),
        collector=CollectorSection(url=site.url, **collector),  # type: ignore[arg-type]
    )


def tokens(site: Site) -> list[tuple[str, str]]:
    rows = site.get("/v1/tokens").json["rows"]
    return [(row["agent"], row["state"]) for row in rows if row["agent"]]


def test_an_agent_enrols_with_its_first_batch_and_goes_on_with_its_token(site: Site, tmp_path: Path) -> None:
    """After a restart, and when the join token is gone."""
    given = agent(site, tmp_path / "spool")
    for sequence, join in enumerate((left_here(site.url, "join"), None)):
        collector = EnrolledCollector(given, lambda join=join: join)  # type: ignore[misc]
        assert collector.post_batch(minutes(sequence)).rows == 10
        collector.close()
    path = tmp_path / "spool" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tokens(site) == [("node-a", "live")]


def test_an_answer_that_was_lost_costs_nothing(site: Site, tmp_path: Path) -> None:
    """The token was made before it was registered: registering it again is the same."""
    given = agent(site, tmp_path / "spool")
    EnrolledCollector(given, lambda: left_here(site.url, "join")).post_batch(minutes(0))
    (kept,) = [path for path in (tmp_path / "spool").iterdir() if path.name == FILE]
    again = EnrolledCollector(given, lambda: left_here(site.url, "join"))
    assert again._enrol()
    assert again.post_batch(minutes(1)).rows == 10
    assert tokens(site) == [("node-a", "live")]
    assert kept.is_file()


def test_without_anything_to_show_nothing_is_delivered_and_batches_stay(site: Site, tmp_path: Path) -> None:
    """A refusal that an operator puts right; it is no refusal of the batch."""
    with pytest.raises(TerminalDeliveryError) as caught:
        EnrolledCollector(agent(site, tmp_path / "spool"), lambda: None).post_batch(minutes(0))
    assert caught.value.status == 401
    assert not (tmp_path / "spool" / FILE).exists()


def test_a_revoked_agent_does_not_come_back_by_itself(site: Site, tmp_path: Path) -> None:
    """Its join token would enrol a new name, not this token."""
    given = agent(site, tmp_path / "spool")
    collector = EnrolledCollector(given, lambda: left_here(site.url, "join"))
    collector.post_batch(minutes(0))
    number = site.get("/v1/tokens").json["rows"][-1]["token"]
    assert site.ask("POST", f"/v1/tokens/{number}/revocation", b"{}").status == 200
    with pytest.raises(TerminalDeliveryError) as caught:
        collector.post_batch(minutes(1))
    assert (caught.value.status, caught.value.code) == (409, "enrolment")
    assert tokens(site) == [("node-a", "revoked")]


def test_a_token_that_is_given_is_used_and_nothing_is_made(site: Site, tmp_path: Path) -> None:
    """As an operator hands them out by other means."""
    admin = find_token(site.url, env={})
    assert admin
    write_token(tmp_path / "given", admin)
    given = agent(site, tmp_path / "spool", token_file=tmp_path / "given")
    assert EnrolledCollector(given, lambda: "never asked").post_batch(minutes(0)).rows == 10
    assert not (tmp_path / "spool" / FILE).exists()
    assert tokens(site) == []


def test_the_join_token_is_that_of_the_file_else_of_this_users_collector(site: Site, tmp_path: Path) -> None:
    """A file that is named and cannot be read is an error, not a reason to look elsewhere."""
    write_token(tmp_path / "join", "j" * 43)
    assert join_token(agent(site, tmp_path, join_token_file=tmp_path / "join")) == "j" * 43
    assert join_token(agent(site, tmp_path)) == read_token(tmp_path / "ledger" / "access" / "join.token")
    with pytest.raises(ConfigError, match="cannot be read"):
        join_token(agent(site, tmp_path, join_token_file=tmp_path / "none"))
