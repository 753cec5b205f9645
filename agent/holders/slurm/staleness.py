"""When a job that no epilog has ended is no longer believed to hold its GPUs.

A node or a slurmd that crashed runs no epilog, and the file it leaves must not be billed for ever. A job is alive while
a process of it is left or the controller says that it runs; without either it is stale after a grace time, and at once
where a later job was given the same GPU whole. (An allocation without any step has no process: `PrologFlags=Contain`
gives it one.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.holders.slurm.sharing import Claim


class Staleness:
    """Remembers when each job was last seen alive. `is_alive` and `says_runs` are asked of a job and an instant."""

    def __init__(
        self,
        grace_us: int,
        *,
        is_alive: Callable[[str, int], bool],
        says_runs: Callable[[str], bool | None] = lambda _job: None,
    ) -> None:
        """Judge; `says_runs` is the controller's word: None where it has not been heard."""
        self._grace_us = grace_us
        self._is_alive = is_alive
        self._says_runs = says_runs
        self._alive_us: dict[str, int] = {}

    def judge(self, claims: Iterable[Claim], at_us: int) -> dict[str, str]:
        """Return the stale jobs among those that claim something, each with the reason."""
        claims = list(claims)
        jobs = {claim.facts.job for claim in claims}
        self._alive_us = {job: at for job, at in self._alive_us.items() if job in jobs}
        stale: dict[str, str] = {}
        for job in sorted(jobs):
            says_runs = self._says_runs(job)
            if says_runs or self._is_alive(job, at_us):
                self._alive_us[job] = at_us
                continue
            silent_us = at_us - self._alive_us.setdefault(job, at_us)
            later = _given_since(job, claims)
            if later:
                stale[job] = f"its GPU was given to job {later} since, and no process of it is left"
            elif silent_us >= self._grace_us:
                known = ", and the controller does not know that it runs" if says_runs is False else ""
                stale[job] = f"no process of it was left for {silent_us // 1_000_000} s{known}"
        return stale


def _given_since(job: str, claims: list[Claim]) -> str:
    """Return a later job that has a whole GPU of this one's; Slurm gives a whole GPU to one job at a time."""
    own = {
        claim.device: claim.since_us or 0 for claim in claims if claim.facts.job == job and claim.part == claim.whole
    }
    for claim in claims:
        since_us = own.get(claim.device)
        later = since_us is not None and (claim.since_us or 0) > since_us
        if later and claim.facts.job != job and claim.part == claim.whole:
            return claim.facts.job
    return ""
