"""Errors of all NVLinks of a board together."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_TOTALS: Final = {
    "nvlink_crc_flit_errors": 38,  # NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL
    "nvlink_crc_data_errors": 45,  # NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL
    "nvlink_replays": 52,  # NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL
    "nvlink_recoveries": 59,  # NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL
}
_CRC_FLIT_OF_LINKS: Final = tuple(range(32, 38))  # NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0 to _L5


class NvLinkSampler:
    """Reads the totals; a driver that has only the links' own counters has them added up."""

    name = "nvlink"
    fields = (*_TOTALS.values(), *_CRC_FLIT_OF_LINKS)

    def read(self, board: BoardAnswers) -> Values:
        """Return the errors of all links."""
        values = {name: board.field(field) for name, field in _TOTALS.items()}
        if values["nvlink_crc_flit_errors"] is None:
            counts = [count for count in map(board.field, _CRC_FLIT_OF_LINKS) if count is not None]
            values["nvlink_crc_flit_errors"] = sum(counts) if counts else None
        return values


NVLINK: Final = NvLinkSampler()
