"""Who had access in a period, and who acted: tokens, agents and names, from their events alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analytics.compliance.acts import Part, part_of
from analytics.compliance.events import Event, Proof, counted, moment
from analytics.compliance.folding import Folds
from analytics.reports.report import Column, Kind, Row, Section, Table
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_HOUR

SOON_US: Final = 30 * 24 * US_PER_HOUR
WITHOUT: Final = "no token: a command on the ledger's folder"
SSO: Final = "oidc:"
_OTHERS: Final = {
    "collector": "the collector itself",
    "unknown": "a stranger",
    "anonymous": "at the machine itself",
    "unnamed": "nobody had to say",
}
_NOT_ACTING: Final = (Part.FLEET, Part.REFUSED)  # those who report, and those who were turned away


@dataclass
class Token:
    """One token as the log knows it at the end of the period."""

    made: Event
    name: str
    role: str
    sees: str
    expires_us: int | None
    revoked: Event | None = None
    acts: int = 0
    last: Event | None = None
    enrolled: int = 0

    def ended_us(self) -> int | None:
        """Return when it ended or will; None: never."""
        ends = [each for each in (self.expires_us, self.revoked.at_us if self.revoked else None) if each is not None]
        return min(ends, default=None)

    def live(self, at_us: int) -> bool:
        """Tell whether it is good for something at an instant."""
        ended = self.ended_us()
        return self.made.at_us <= at_us and (ended is None or at_us < ended)


class Access:
    """Tokens, and who acted under which name."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._tokens: dict[str, Token] = {}  # by number
        self._by_name: dict[str, Token] = {}
        self._acted: Folds[tuple[str, str]] = Folds()
        self.events = 0  # of the period, about tokens

    def take(self, event: Event, *, inside: bool) -> None:
        """Take the next event until the period's end."""
        if event.act in ("token.create", "agent.enrol"):
            self._make(event)
        elif event.act == "token.revoke":
            found = self._tokens.get(event.subject.removeprefix("token "))
            if found and not found.revoked:
                found.revoked = event
        self.events += inside and part_of(event.act) is Part.ACCESS
        if inside and part_of(event.act) not in _NOT_ACTING:
            self._note(event)

    def sections(self, proof: Proof) -> list[Section]:
        """Return who had access, which agents were enrolled, and who acted."""
        had = [token for token in self._tokens.values() if self._had(token)]
        people = [token for token in had if token.role != "agent"]
        agents = [token for token in had if token.role == "agent"]
        return [self._people(people, proof), self._agents(agents, proof), self._who(proof)]

    def looks(self, proof: Proof) -> list[str]:
        """Return what an auditor should look at."""
        end = self._period.end_us - 1
        people = [t for t in self._tokens.values() if t.role != "agent" and self._had(t) and t.live(end)]
        endless = [token for token in people if token.expires_us is None]
        found = []
        if endless:
            names = ", ".join(f"{token.name} (event {proof.ref(token.made.sequence)})" for token in endless[:5])
            more = f" and {len(endless) - 5} more" if len(endless) > 5 else ""
            found.append(f"Tokens that never expire: {counted(len(endless), 'token')}: {names}{more}.")
        bare = [(name, fold) for (name, how), fold in self._acted if how == WITHOUT]
        if bare:
            events = sum(fold.events for _, fold in bare)
            names = ", ".join(f"{name} (event {fold.ref(proof)})" for name, fold in bare[:5])
            found.append(f"Acts under names that no live token has: {counted(events, 'event')}: {names}.")
        return found

    def _make(self, event: Event) -> None:
        agent = event.act == "agent.enrol"
        expires = None if agent else event.instant("expires")
        made = Token(event, event.text("name"), event.text("role"), event.text("teams"), expires)
        self._tokens[event.text("token")] = self._by_name[made.name] = made
        join = self._by_name.get(event.text("by")) if agent else None
        if join:
            join.enrolled += 1

    def _note(self, event: Event) -> None:
        token = self._by_name.get(event.actor)
        if token and token.live(event.at_us):
            token.acts, token.last = token.acts + 1, event
            how = f"token: {token.role}"
        elif event.actor.startswith(SSO):
            how = "single sign-on" + (f": {event.text('role')}" if event.text("role") else "")
        else:
            how = _OTHERS.get(event.actor, WITHOUT)
        self._acted.add((event.actor, how), event)

    def _had(self, token: Token) -> bool:
        ended = token.ended_us()
        return ended is None or ended > self._period.start_us

    def _people(self, tokens: list[Token], proof: Proof) -> Section:
        end = self._period.end_us
        rows = [
            Row(
                (
                    proof.ref(token.made.sequence),
                    token.name,
                    token.role,
                    token.sees,
                    moment(max(token.made.at_us, self._period.start_us)),
                    self._until(token, proof),
                    token.acts + token.enrolled,
                    f"{moment(token.last.at_us)} (event {proof.ref(token.last.sequence)})" if token.last else "none",
                )
            )
            for token in tokens
        ]
        heads = ("Event", "Name", "Role", "Sees", "From", "Until")
        columns = (*map(Column, heads), Column("Acts", Kind.COUNT), Column("Last act on record"))
        live = sum(token.live(end - 1) for token in tokens)
        soon = sum(
            bool(token.live(end - 1) and (token.ended_us() or end + SOON_US) < end + SOON_US) for token in tokens
        )
        revoked = sum(token.revoked is not None for token in tokens)
        finding = (
            f"{counted(len(tokens), 'token')} of people and services were good for some of the period; {live} at its "
            f"end, {soon} of those end within 30 days. {revoked} were revoked."
        )
        note = (
            "The log has acts and reads of what is of all teams, not each request: a token without acts may have read."
        )
        command = "gpuledger audit list --act token.create"
        return Section(
            Part.ACCESS.value, finding, command, Table(columns, rows, shown=100), notes=[note] if rows else []
        )

    def _until(self, token: Token, proof: Proof) -> str:
        if token.revoked:
            why = f": {token.revoked.text('why')}" if token.revoked.text("why") else ""
            where = proof.ref(token.revoked.sequence)
            return f"{moment(token.revoked.at_us)}, revoked by {token.revoked.actor}{why} (event {where})"
        if token.expires_us is None:
            return "does not expire"
        over = "expired" if token.expires_us < self._period.end_us else "expires"
        return f"{moment(token.expires_us)}, {over}"

    def _agents(self, tokens: list[Token], proof: Proof) -> Section:
        rows = [
            Row(
                (
                    proof.ref(token.made.sequence),
                    token.made.subject,
                    token.made.text("by"),
                    moment(max(token.made.at_us, self._period.start_us)),
                    self._until(token, proof),
                )
            )
            for token in tokens
        ]
        columns = tuple(map(Column, ("Event", "Agent", "Enrolled with", "From", "Until")))
        fresh = sum(token.made.at_us >= self._period.start_us for token in tokens)
        finding = f"{counted(len(tokens), 'agent')} had a token of their own; {fresh} enrolled in the period."
        return Section("Enrolled agents", finding, "gpuledger audit list --act agent.enrol", Table(columns, rows))

    def _who(self, proof: Proof) -> Section:
        rows = [Row((fold.ref(proof), name, how, fold.when, fold.events)) for (name, how), fold in self._acted]
        columns = (*map(Column, ("Events", "Name", "How known", "When")), Column("Acts", Kind.COUNT))
        total = Row(("", "All", "", "", self._acted.events), "total")
        finding = f"{counted(len(rows), 'name')} did what is on record." if rows else "Nobody did anything on record."
        table = Table(columns, rows, total if rows else None, shown=100)
        return Section("Who acted", finding, "gpuledger audit list --actor NAME", table)
