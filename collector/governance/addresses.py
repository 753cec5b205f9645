"""Where notices go: addresses by name from a file of the collector's settings, and the library that knows the services.

An address holds passwords and tokens. It is read here, handed to the library, and never stored, logged or shown.
"""

from __future__ import annotations

import logging
import re
import threading
import tomllib
from pathlib import Path
from typing import Any, Final

from collector.governance.telling import NoticeError
from gpuledger.errors import ConfigError

TIMEOUT_S: Final = 10.0  # of connecting, and of each wait for an answer
_HINT: Final = 'lines such as vision-leads = "slack://..."; the addresses are those of https://appriseit.com'
_STATUS: Final = re.compile(r"error=(\d{3})\b")


def read_addresses(path: Path | None) -> dict[str, str]:
    """Return the addresses in a TOML file, by name; none without a file.

    Raises ConfigError, in which no address is, where it cannot be read or one of them is not an address.
    """
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read [notify] addresses {path}: {error.strerror}", hint=_HINT) from error
    except (ValueError, RecursionError):
        raise ConfigError(f"[notify] addresses {path} is not TOML", hint=_HINT) from None  # the cause quotes the line
    for name, address in found.items():
        if not isinstance(address, str) or _service(address) is None:
            raise ConfigError(f'{path}: the address of "{name}" is none that notices can be sent to', hint=_HINT)
    return found


def send(address: str, title: str, body: str) -> None:
    """Send to an address. Raises NoticeError where it is not taken, or not known to be."""
    service = _service(address)
    if service is None:
        raise NoticeError("its address is none that notices can be sent to")
    said: list[str] = []
    keeping = _Keeping(said)
    log = logging.getLogger("apprise")
    log.addHandler(keeping)
    try:
        taken = service.notify(title=title, body=body)
    except Exception as error:  # noqa: BLE001 - whatever a service's module raises: its words may hold the address
        raise NoticeError(f"it failed: {type(error).__name__}") from None
    finally:
        log.removeHandler(keeping)
    if not taken:
        status = next((match[1] for each in said if (match := _STATUS.search(each))), "")
        raise NoticeError(f"answered with {status}" if status else "no answer, or not taken")


class _Keeping(logging.Handler):
    """Keeps what the library says in this thread, for a status in it."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._said.append(record.getMessage())


def _service(address: str) -> Any:  # noqa: ANN401 - the library has no type for them
    """Return what sends to an address; None where nothing does. Imports the library: 20 MiB, and half a second."""
    import apprise  # noqa: PLC0415 - only where there are addresses

    logging.getLogger("apprise").propagate = False  # it names hosts, and with debug whole addresses
    asset = apprise.AppriseAsset(app_id="gpuledger", app_desc="gpuledger", app_url="", async_mode=False)
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if service is not None:
        service.socket_connect_timeout = service.socket_read_timeout = TIMEOUT_S
    return service
