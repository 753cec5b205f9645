"""Documents in variables give the wanted fields, and nothing where they are not what a rule says."""

from __future__ import annotations

import base64
import errno
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.identity.unpack import Unpack, read_file_of, unpacked

PACKED = Unpack("base64+zlib+json", ("run", "assets"), inside="data", file="path")
PLAIN = Unpack("json", ("team",))


def packed(document: object) -> bytes:
    return base64.b64encode(zlib.compress(json.dumps(document).encode()))


def nothing(_path: str) -> None:
    return None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": {"run": "r", "assets": ["a", "b"], "token": "t"}}, {"run": "r", "assets": "a,b"}),
        ({"data": {"run": 7}}, {"run": "7"}),
        ({"data": {"run": None, "assets": [1]}}, {}),
        ({"data": "x"}, {}),
        ({"run": "r"}, {"run": "r"}),
        (["run"], {}),
        ({"path": "/gone"}, {}),
        ({"data": {"run": True}}, {}),
    ],
)
def test_only_wanted_fields_come_out(document: object, expected: dict[str, str]) -> None:
    """Texts, numbers and lists of texts are values; anything else is not, and no other field is read."""
    assert unpacked(packed(document), PACKED, nothing) == expected


def test_a_document_may_go_on_in_a_file() -> None:
    """The variable then names the file that has the fields."""
    asked: list[str] = []

    def open_file(path: str) -> bytes:
        asked.append(path)
        return b'{"run": "r"}'

    assert unpacked(packed({"path": "/tmp/c"}), PACKED, open_file) == {"run": "r"}
    assert asked == ["/tmp/c"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_nothing(value: bytes) -> None:
    """A process may put anything there."""
    for how in (PACKED, PLAIN):
        assert set(unpacked(value, how, nothing)) <= set(how.fields)


def test_a_document_that_grows_without_end_is_cut(tmp_path: Path) -> None:
    """A small variable may unpack to gigabytes: it is not unpacked so far, and is then no document."""
    bomb = base64.b64encode(zlib.compress(b'{"data": {"run": "' + b"r" * 40_000_000 + b'"}}'))
    assert unpacked(bomb, PACKED, nothing) == {}
    (tmp_path / "big").write_bytes(b" " * 300_000)
    assert read_file_of(str(tmp_path), "/big") is None


@pytest.mark.parametrize("path", ["relative", "/../etc/passwd", "/a/../../b", "/", ""])
def test_a_path_that_could_lead_elsewhere_is_not_opened(tmp_path: Path, path: str) -> None:
    """Only absolute paths without steps back are followed, below the root that the process has."""
    assert read_file_of(str(tmp_path), path) is None


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    """A link that a container makes would be followed on the host."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(OSError) as raised:
        read_file_of(str(tmp_path / "root"), "/out/secret")
    assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR)
