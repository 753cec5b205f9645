"""Notices are sent from threads of their own, one for each name: who does not answer keeps nobody else waiting.

Delivery is at least once: a notice whose outcome could not be recorded is sent again, under the same delivery key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from collector.audit.actor import acting
from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.budget_books import newest_budgets
from collector.governance.notices import FAILED, SENT, SUPPRESSED, WAITING, Notice, add_step, load_notices
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.accounting.quiet import QuietHours, quiet_until
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import GpuLedgerError, LedgerError
from gpuledger.zones import find_zone

BACK_OFF_MINUTES: Final = (1, 5, 15, 60, 240)  # after each attempt that failed; then it is given up
Send = Callable[[str, str, str], None]  # to an address: title, body; raises NoticeError
_log: Final = logging.getLogger(__name__)


class NoticeError(GpuLedgerError):
    """A notice that was not taken. Its message never holds the address."""


class Teller:
    """Sends what waits. `addresses` are by name; they are given to `send` and to nothing else."""

    def __init__(self, ledger: Ledger, addresses: Mapping[str, str], send: Send) -> None:
        self._ledger = ledger
        self._addresses = dict(addresses)
        self._send = send
        self._busy: dict[str, threading.Thread] = {}

    def round(self) -> int:
        """Start to send what is due, and record what cannot be sent now; return how many notices wait. Never waits."""
        now_us = self._ledger.now_us()
        busy = {name for name, thread in self._busy.items() if thread.is_alive()}  # before: what ended is on record
        with self._ledger.snapshot() as session:
            waiting = load_notices(session, waiting=True)
            quiet = newest_budgets(session, self._ledger.calendar.days).book.quiet if waiting else {}
        due: dict[str, list[Notice]] = {}
        for each in waiting:
            if each.due_us <= now_us and each.target not in busy:
                due.setdefault(each.target, []).append(each)
        for name, notices in due.items():
            self._begin(name, notices, quiet.get(name), now_us)
        return len(waiting)

    def wait(self, timeout_s: float) -> bool:
        """Return whether all that was begun has ended within `timeout_s`: for tests and for the end of the process."""
        for thread in list(self._busy.values()):
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._busy.values())

    def _begin(self, name: str, notices: list[Notice], quiet: QuietHours | None, now_us: int) -> None:
        if name not in self._addresses:
            for each in notices:
                self._note(each, SUPPRESSED, f"the collector has no address of {name}")
            return
        until_us = quiet_until(quiet, now_us, find_zone(quiet.zone)) if quiet else None
        if until_us is not None:
            for each in notices:
                self._note(each, WAITING, f"quiet hours until {iso(until_us)}", until_us)
            return
        thread = threading.Thread(target=self._tell, args=(notices,), name=f"tell {name}", daemon=True)
        self._busy[name] = thread
        thread.start()

    def _tell(self, notices: list[Notice]) -> None:
        """Send to one name, one after the other; after the first that is not taken the others of it wait too."""
        try:
            for each in notices:
                tried = each._replace(attempts=each.attempts + 1)
                try:
                    self._send(self._addresses[each.target], each.title, each.body)
                except NoticeError as error:
                    self._failed(tried, error.message)
                    return
                self._note(tried, SENT, "")
        except LedgerError as error:
            _log.error("what became of notices to %s is not on record: %s", notices[0].target, error.message)

    def _failed(self, tried: Notice, why: str) -> None:
        said = f"attempt {tried.attempts}: {why}"
        _log.warning("notice %s to %s, %s", tried.notice_id, tried.target, said)
        if tried.attempts > len(BACK_OFF_MINUTES):
            self._note(tried, FAILED, said)
            return
        again_us = self._ledger.now_us() + BACK_OFF_MINUTES[tried.attempts - 1] * US_PER_MINUTE
        self._note(tried, WAITING, said, again_us)

    def _note(self, notice: Notice, state: str, reason: str, due_us: int | None = None) -> None:
        """Put on record what became of a notice; how it ended is an event of the audit log too."""
        now_us = self._ledger.now_us()
        with acting("collector"), self._ledger.transaction() as session:
            add_step(session, notice, state, at_us=now_us, reason=reason, due_us=due_us)
            if state != WAITING:
                said: dict[str, Value] = {
                    "to": notice.target,
                    "key": notice.key,
                    "attempts": notice.attempts,
                    "reason": reason,
                }
                record(session, now_us, f"notice.{state}", f"notice {notice.notice_id}", said)
