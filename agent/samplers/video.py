"""How busy the video engines are. Not supported on a board that is cut into MIG instances."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_PPM_PER_PERCENT: Final = 10_000


class VideoSampler:
    """Asks for the use of the encoder and of the decoder."""

    name = "video"
    fields: tuple[int, ...] = ()

    def read(self, board: BoardAnswers) -> Values:
        """Return both; each comes with its sample period, which nobody needs."""
        return {
            "encoder_ppm": _ppm(board.number("nvmlDeviceGetEncoderUtilization", spare=1)),
            "decoder_ppm": _ppm(board.number("nvmlDeviceGetDecoderUtilization", spare=1)),
        }


def _ppm(percent: int | None) -> int | None:
    return percent * _PPM_PER_PERCENT if percent is not None and percent <= 100 else None


VIDEO: Final = VideoSampler()
