"""Owner mapping: the first rule that matches wins, and a claim counts only where a rule says so."""

from __future__ import annotations

import pytest

from gpuledger.accounting.directory import Directory, Membership
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.ownership import Owner, OwnerMap, OwnerRule
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.accounting.validity import Validity, changed, segments
from gpuledger.errors import OwnerMappingError

VISION = OwnerRule(Owner("acme", "research", "vision", ""), (("namespace", "vision-*"),))
JOBS = OwnerRule(Owner(team="hpc"), (("slurm_account", "hpc"), ("user", "a*")))
CLAIM = OwnerRule(Owner(team="{team_claim}"), (("team_claim", "*"),))
REST = OwnerRule(Owner(team="platform"), (("kind", "*"),))


def team(rules: list[OwnerRule], at_us: int = 0, **attributes: str) -> str | None:
    found = OwnerMap(rules).resolve(attributes, at_us)
    return found.owner.team if found else None


def test_the_first_rule_that_matches_wins() -> None:
    """Order in the file is the only priority."""
    assert team([VISION, REST], namespace="vision-prod", kind="pod") == "vision"
    assert team([REST, VISION], namespace="vision-prod", kind="pod") == "platform"


def test_all_patterns_of_a_rule_have_to_match() -> None:
    """A rule with two patterns applies only where both match; upper and lower case are told apart."""
    assert team([JOBS], slurm_account="hpc", user="anna") == "hpc"
    assert team([JOBS], slurm_account="hpc", user="Anna") is None
    assert team([JOBS], slurm_account="hpc") is None


def test_nobody_is_none() -> None:
    """A holder that no rule knows has no owner."""
    assert team([VISION], namespace="nlp") is None


def test_a_pattern_never_matches_what_a_holder_does_not_have() -> None:
    """Even `*` asks for the attribute to be there."""
    assert team([CLAIM], team_claim="") is None


def test_a_claim_is_used_only_where_a_rule_matches_it() -> None:
    """GPULEDGER_TEAM names the team through a rule that says so, ranked where the file puts it."""
    assert team([VISION], team_claim="nlp") is None
    assert team([VISION, CLAIM], namespace="x", team_claim="nlp") == "nlp"
    assert team([VISION, CLAIM], namespace="vision-a", team_claim="nlp") == "vision"


def test_labels_are_attributes() -> None:
    """A label is matched by its name, dots and slashes included."""
    rule = OwnerRule(Owner(team="{label.acme.io/team}"), (("label.acme.io/team", "*"),))
    found = OwnerMap([rule]).resolve({"label.acme.io/team": "search"}, 0)
    assert found is not None
    assert found.owner.team == "search"


def test_rules_hold_from_until() -> None:
    """A rule applies from its start on and no longer at its end."""
    old = VISION._replace(to_us=US_PER_HOUR)
    new = VISION._replace(owner=Owner(team="perception"), from_us=US_PER_HOUR)
    found = [team([old, new], at, namespace="vision-1") for at in (US_PER_HOUR - 1, US_PER_HOUR)]
    assert found == ["vision", "perception"]


def test_a_resolution_explains_itself() -> None:
    """The answer names the rule by its place and what its patterns met."""
    found = OwnerMap([VISION, JOBS]).resolve({"slurm_account": "hpc", "user": "ab"}, 0)
    assert found is not None
    assert found.explain() == 'rule 2: slurm_account "hpc" matches "hpc", user "ab" matches "a*"'


def test_a_change_in_the_middle_touches_only_its_own_time() -> None:
    """What two lists begin and end with cannot tell them apart; what differs counts with its validity."""
    early, late = CLAIM._replace(to_us=5), JOBS._replace(from_us=9)
    assert changed([VISION, REST], [VISION, REST]) == []
    assert changed([VISION, early, REST], [VISION, REST]) == [Validity(None, 5)]
    assert changed([VISION, early, REST], [VISION, late, REST]) == [Validity(None, 5), Validity(9, None)]
    assert len(changed([VISION, JOBS], [JOBS, VISION])) == 4


def test_segments_are_cut_where_anything_starts_or_ends() -> None:
    """Within a segment all dated things stay as they are; bounds outside or at the edge cut nothing."""
    dated = [VISION._replace(from_us=3, to_us=7), REST._replace(from_us=0, to_us=12)]
    assert segments(Interval(0, 10), dated) == [(0, 3), (3, 7), (7, 10)]


def test_every_rule_says_what_became_of_it() -> None:
    """The one that decides says what it met; the others why not: unmet, absent, out of time, or too late."""
    old = OwnerRule(Owner(team="old"), (("kind", "*"),), to_us=US_PER_HOUR)
    rules = OwnerMap([VISION, JOBS, old, REST, CLAIM, OwnerRule(Owner(team="more"), (("kind", "pod"),))])
    found = rules.trials({"kind": "pod", "namespace": "nlp", "user": "zoe"}, 2 * US_PER_HOUR)
    assert [(trial.applies, trial.why) for trial in found] == [
        (False, 'namespace "nlp" does not match "vision-*"'),
        (False, 'it has no slurm_account, user "zoe" does not match "a*"'),
        (False, "it holds until 1970-01-01T01:00:00Z"),
        (True, 'kind "pod" matches "*"'),
        (False, "it has no team_claim"),
        (False, "it would match, but rule 4 comes before it"),
    ]


def test_a_directory_says_which_team_a_user_was_in() -> None:
    """A rule that asks the directory follows a user from team to team; who is in none does not match."""
    people = Directory(
        [
            Membership("ana", "vision", "research", to_us=US_PER_HOUR),
            Membership("ana", "speech", from_us=2 * US_PER_HOUR),
        ]
    )
    rule = OwnerRule(Owner(team="{directory.team}"), (("directory.team", "*"),))
    rules = OwnerMap([rule, REST], people)
    found = [rules.resolve({"user": "ana", "kind": "user"}, n * US_PER_HOUR) for n in range(3)]
    assert [one and one.owner.team for one in found] == ["vision", "platform", "speech"]
    assert found[0] is not None
    assert found[0].explain() == 'rule 1: directory.team "vision" matches "*"'
    assert rules.resolve({"user": "zoe"}, 0) is None
    assert [item.validity.from_us for item in rules.dated({"user": "ana"})] == [None, None, None, 2 * US_PER_HOUR]


def test_nobody_is_in_two_teams_at_once() -> None:
    """Two places of one user that overlap are refused; of two users they are two people."""
    with pytest.raises(OwnerMappingError, match='entry 2: user "ana" is in two teams'):
        Directory([Membership("ana", "vision"), Membership("ana", "speech", from_us=US_PER_HOUR)])
    assert len(Directory([Membership("ana", "vision"), Membership("zoe", "vision")]).memberships) == 2
