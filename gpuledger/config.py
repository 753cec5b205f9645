"""Settings of a process: one TOML file, overridden by the environment, checked against a msgspec struct.

A settings struct holds sections, each a struct of its own; every key of a section is overridable by
`GPULEDGER_<SECTION>_<KEY>`. Whatever is not known is an error that names the nearest known word.
"""

from __future__ import annotations

import difflib
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeVar

import msgspec

from gpuledger.errors import ConfigError

PREFIX: Final = "GPULEDGER"
HIDDEN: Final = "(hidden)"
Secret = Annotated[str, msgspec.Meta(extra={"secret": True})]

_NOT_TOML: Final = (ValueError, RecursionError)  # beside bad TOML: bad UTF-8, huge numbers, deep nesting
_SHOWN: Final = 80  # characters of a value, in a message

_T = TypeVar("_T", bound=msgspec.Struct)
_Settings = dict[str, Any]


def load_config(cls: type[_T], path: Path | None, env: Mapping[str, str]) -> _T:
    """Return the settings of `cls` from the TOML file at `path` (None: defaults), overridden by `env`.

    Raises ConfigError on a file that cannot be read, an unknown section or key, and a value of the wrong type or range.
    """
    source = str(path) if path else "the environment"
    settings = _read(path) if path else {}
    _refuse_unknown(cls, settings, source, ())
    _override(cls, settings, env, ())
    try:
        return msgspec.convert(settings, cls, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$.")
        raise ConfigError(
            f"{_dotted(where.rstrip('`'))} in {source}: {reason[:1].lower()}{reason[1:]}",
            hint="names end in their unit: give a plain number in that unit, and text in quotes",
        ) from error


def effective(settings: msgspec.Struct) -> dict[str, Any]:
    """Return the settings as plain values for people, secrets hidden."""
    shown: dict[str, Any] = {}
    attributes = zip(settings.__struct_fields__, _fields(type(settings)).items(), strict=True)
    for attribute, (name, annotation) in attributes:
        value = getattr(settings, attribute)
        if isinstance(value, msgspec.Struct):
            shown[name] = effective(value)
        elif _is_secret(annotation):
            shown[name] = HIDDEN if value else ""
        else:
            shown[name] = msgspec.to_builtins(value, enc_hook=str)
    return shown


def _read(path: Path) -> _Settings:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="give the path of a TOML file") from error
    except _NOT_TOML as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", hint="text needs quotes; sections look like [server]"
        ) from error


def _refuse_unknown(cls: type[msgspec.Struct], settings: _Settings, source: str, section: tuple[str, ...]) -> None:
    known = _fields(cls)
    for name, value in settings.items():
        if name not in known:
            place = f"[{'.'.join(section)}] of {source}" if section else source
            kind = "section" if isinstance(value, dict) else "key"
            raise ConfigError(f'unknown {kind} "{name}" in {place}', hint=_nearest(name, known))
        inner = _section(known[name])
        if inner and isinstance(value, dict):
            _refuse_unknown(inner, value, source, (*section, name))


def _override(cls: type[msgspec.Struct], settings: _Settings, env: Mapping[str, str], section: tuple[str, ...]) -> None:
    known = _fields(cls)
    prefix = "_".join((PREFIX, *section)).upper() + "_"
    names = {prefix + name.upper(): name for name in known}
    inner_sections = {name: inner for name, hint in known.items() if (inner := _section(hint))}
    for name, inner in inner_sections.items():
        under = settings.setdefault(name, {})
        if isinstance(under, dict):
            _override(inner, under, env, (*section, name))
    if not section:
        return  # a variable without a section belongs to someone else: GPULEDGER_URL
    nested = tuple(prefix + name.upper() + "_" for name in inner_sections)
    for variable in sorted(env):
        if not variable.startswith(prefix) or (nested and variable.startswith(nested)):
            continue
        if variable not in names:
            raise ConfigError(f"unknown setting {variable} in the environment", hint=_nearest(variable, names))
        settings[names[variable]] = _parse(variable, env[variable], known[names[variable]])


def _parse(variable: str, text: str, annotation: object) -> object:
    if {str, Path} & _alternatives(annotation):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except _NOT_TOML as error:
        raise ConfigError(
            f"{variable} is {text[:_SHOWN]!r}, which is not a value", hint="numbers plain, true or false"
        ) from error


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(candidates))}"


def _fields(cls: type[msgspec.Struct]) -> dict[str, object]:
    """Return the annotation of each field under its name in the file, which need not be a name in Python (`from`)."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: hints[attribute]
        for attribute, name in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    }


def _section(annotation: object) -> type[msgspec.Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return None


def _alternatives(annotation: object) -> set[object]:
    if typing.get_origin(annotation) is Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return {kind for member in typing.get_args(annotation) for kind in _alternatives(member)}
    return {annotation}


def _is_secret(annotation: object) -> bool:
    extras = getattr(annotation, "__metadata__", ())
    return any((getattr(meta, "extra", None) or {}).get("secret") for meta in extras)


def _to_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str):
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError(f"Nobody's home is known for `{value}`") from error
    raise TypeError(f"Expected a path as text, got `{type(value).__name__}`")


def _dotted(where: str) -> str:
    *section, key = where.split(".")
    return f"[{'.'.join(section)}] {key}" if section else f"[{key}]"
