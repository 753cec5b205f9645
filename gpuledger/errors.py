"""One tree of errors; each says what failed, on what, and (as its hint) the next step.

GpuLedgerError
├── ConfigError            bad flag, file, key or unit                      exit code 2
├── DeviceError            a driver or a device did not answer
├── HolderError            a source of holders could not be read
├── SpoolError             the agent's outbox could not be written or read
├── WireError              a batch that cannot be read or breaks a promise; `code` names which
├── DeliveryError          the collector did not take a batch or a request
├── LedgerError            the ledger could not be opened, migrated or written
├── ConservationError      shares, energy or money do not add up
├── PriceBookError         a price file or a look-up of a price
├── OwnerMappingError      an owner file or a rule
├── PolicyBookError        a policy file or an entry of it
├── BudgetBookError        a budget file or an entry of it
├── QuotaBookError         a quota file or an entry of it
├── RuleBookError          a rule file, a rule of it, or a fact that no rule can ask about
├── AnalysisError          figures that cannot be compared or added up as they are
├── ShareBookError         a share file, or what shares are made from
├── ImportFileError        a job log that cannot be read at all
├── OutsideError           a bill or a job log that the ledger cannot be held against
├── AdmissionError         a scheduler's request that cannot be read
├── AuditError             an audit log, checkpoint or key that cannot be used
└── AccessError            whoever asks is not known, or may not

`Transient` marks what may succeed when tried again, `Terminal` what will not.
"""

from __future__ import annotations


class Transient:
    """Mixin: the same call may succeed later."""


class Terminal:
    """Mixin: the same call will fail again."""


class GpuLedgerError(Exception):
    """Base of every error raised on purpose. `hint` is the next step for the reader."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ConfigError(GpuLedgerError, Terminal):
    """A flag, a configuration file, a key or a unit is wrong."""


class DeviceError(GpuLedgerError):
    """A driver or a device did not answer as it should."""


class HolderError(GpuLedgerError):
    """A source of holders could not be read."""


class SpoolError(GpuLedgerError):
    """The agent's outbox could not be written or read."""


class WireError(GpuLedgerError, Terminal):
    """A batch that cannot be read, or that breaks a promise of the wire schema.

    `code` is stable and countable, one of: not_a_batch, checksum, schema, too_large, malformed, interval, overlap,
    shares, reference, future, clock, conflict.
    """

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class DeliveryError(GpuLedgerError):
    """The collector refused a request or could not be reached.

    `status` is the HTTP status, if there was one; `code` is what the collector's own problem document names, and empty
    where somebody else answered.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        code: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class TransientDeliveryError(DeliveryError, Transient):
    """No answer, overload, or a server fault: keep the batch and try again."""


class TerminalDeliveryError(DeliveryError, Terminal):
    """The collector understood and refused: trying again changes nothing."""


class LedgerError(GpuLedgerError):
    """The ledger could not be opened, migrated, read or written."""


class ConservationError(GpuLedgerError, Terminal):
    """Shares of time, energy or money do not add up to their whole."""


class PriceBookError(GpuLedgerError, Terminal):
    """A price file cannot be used, or has no answer."""


class OwnerMappingError(GpuLedgerError, Terminal):
    """An owner file or one of its rules cannot be used."""


class AnalysisError(GpuLedgerError, Terminal):
    """Figures that cannot be compared or added up as they are: another grain, a column that is not there."""


class ShareBookError(GpuLedgerError, Terminal):
    """A share file, or what a scheduler says of quotas, cannot be used."""


class PolicyBookError(GpuLedgerError, Terminal):
    """A policy file or one of its entries cannot be used."""


class BudgetBookError(GpuLedgerError, Terminal):
    """A budget file or one of its entries cannot be used."""


class QuotaBookError(GpuLedgerError, Terminal):
    """A quota file or one of its entries cannot be used."""


class RuleBookError(GpuLedgerError, Terminal):
    """A rule file, one of its rules, or a fact that is given to rules cannot be used."""


class ImportFileError(GpuLedgerError, Terminal):
    """A job log cannot be read at all (single bad lines are reported, not raised)."""


class OutsideError(GpuLedgerError, Terminal):
    """A bill or a job log of somebody else that the ledger cannot be held against."""


class AdmissionError(GpuLedgerError, Terminal):
    """What a scheduler asks before it starts work cannot be read."""


class AuditError(GpuLedgerError, Terminal):
    """An audit log, a checkpoint, a proof or a key that is not what it should be."""


class AccessError(GpuLedgerError, Terminal):
    """Whoever asks is not known to the collector, or may not do what they ask."""
