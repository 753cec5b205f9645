"""Settings come from TOML and the environment; whatever is not understood is an error with the nearest word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from collector.config import CollectorSettings
from gpuledger.config import HIDDEN, Secret, effective, load_config
from gpuledger.errors import ConfigError


class Tuned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    depth: int = 1


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Secret = ""
    ratio: float = 0.5
    names: tuple[str, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tuned: Tuned = Tuned()


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inner: Inner = Inner()


def written(directory: Path, text: str) -> Path:
    path = directory / "collector.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file() -> None:
    """Without a file and without variables the collector listens on this machine alone, on its port."""
    settings = load_config(CollectorSettings, None, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8470)
    assert settings.ingest.window_ms == 50


def test_a_variable_overrides_the_file(tmp_path: Path) -> None:
    """GPULEDGER_<SECTION>_<KEY> wins over the file; variables of others are not touched."""
    path = written(tmp_path, '[server]\nport = 1\nhost = "::1"\n[ledger]\ndirectory = "~/data"')
    env = {"GPULEDGER_SERVER_PORT": "0", "GPULEDGER_URL": "http://elsewhere", "GPULEDGER_AGENT_NAME": "x"}
    settings = load_config(CollectorSettings, path, env)
    assert (settings.server.port, settings.server.host) == (0, "::1")
    assert settings.ledger.directory == Path.home() / "data"


@pytest.mark.parametrize(
    ("text", "env", "words", "hint"),
    [
        ("[server]\nprot = 1", {}, 'unknown key "prot" in [server] of', 'did you mean "port"?'),
        ("[sever]\nport = 1", {}, 'unknown section "sever"', 'did you mean "server"?'),
        ("[ingest]\nwindow_s = 1", {}, 'unknown key "window_s"', 'did you mean "window_ms"?'),
        ("[server]\nxyz = 1", {}, 'unknown key "xyz"', "known here: host, keep_alive_s, port"),
        ("", {"GPULEDGER_SERVER_PROT": "1"}, "GPULEDGER_SERVER_PROT", 'did you mean "GPULEDGER_SERVER_PORT"?'),
        ('[server]\nport = "8470"', {}, "[server] port in", "unit"),
        ("[server]\nport = 70000", {}, "65535", "unit"),
        ("[ingest]\nwindow_ms = 60000", {}, "[ingest] window_ms", "unit"),
        ("[ledger]\ndirectory = 7", {}, "[ledger] directory", "unit"),
        ("", {"GPULEDGER_SERVER_PORT": "80 81"}, "GPULEDGER_SERVER_PORT", "plain"),
        ("server = 8470", {}, "[server]", "unit"),
        ("[server\n", {}, "is not TOML", "[server]"),
        ("[server]\nport = " + "9" * 5_000, {}, "is not TOML", "[server]"),
        ("[server]\nport = 99999999999999999999", {}, "[server] port", "unit"),
        ("x = " + "[" * 5_000, {}, "is not TOML", "[server]"),
        ("", {"GPULEDGER_SERVER_PORT": "9" * 5_000}, "GPULEDGER_SERVER_PORT", "plain"),
        ("", {"GPULEDGER_SERVER_PORT": "[" * 5_000}, "GPULEDGER_SERVER_PORT", "plain"),
        ('[server]\nhost = ""', {}, "[server] host", "quotes"),
    ],
)
def test_what_is_not_understood_is_an_error(
    tmp_path: Path, text: str, env: dict[str, str], words: str, hint: str
) -> None:
    """Unknown sections and keys, wrong types and values out of range each say where, and what is right."""
    with pytest.raises(ConfigError) as caught:
        load_config(CollectorSettings, written(tmp_path, text), env)
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A path that was given is read or refused, never passed over."""
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(CollectorSettings, tmp_path / "none.toml", {})


def test_nested_sections_lists_and_optional_values(tmp_path: Path) -> None:
    """Sections nest; lists and numbers from the environment are read as TOML values."""
    path = written(tmp_path, "[inner.tuned]\ndepth = 3")
    env = {"GPULEDGER_INNER_NAMES": '["a", "b"]', "GPULEDGER_INNER_LIMIT": "4", "GPULEDGER_INNER_TUNED_DEPTH": "5"}
    inner = load_config(Outer, path, env).inner
    assert (inner.names, inner.limit, inner.tuned.depth) == (("a", "b"), 4, 5)
    with pytest.raises(ConfigError, match="GPULEDGER_INNER_TUNED_DEPHT"):
        load_config(Outer, None, {"GPULEDGER_INNER_TUNED_DEPHT": "5"})


def test_effective_settings_hide_secrets() -> None:
    """What is shown to people holds every key, and no secret."""
    shown = effective(load_config(Outer, None, {"GPULEDGER_INNER_TOKEN": "hunter2"}))
    assert shown["inner"]["token"] == HIDDEN
    assert "hunter2" not in str(shown)
    assert shown["inner"]["tuned"] == {"depth": 1}
    assert effective(Outer())["inner"]["token"] == ""
    assert effective(CollectorSettings())["ledger"]["directory"] == "gpuledger-data"
