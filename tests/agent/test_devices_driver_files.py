"""Whether the driver that a process has loaded is still the one on the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.devices.driver_files import DriverFiles, loaded_library


class Installed:
    """A driver's files as an installer lays them out: the library, the link to it, and the module's version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.maps, self.version = root / "maps", root / "version"
        self.install("580.105.08")
        self.maps.write_text(f"7f00-7f10 r-xp 00000000 08:01 12  {self.library}\n7f20-7f30 rw-p 00000000 00:00 0\n")
        self.files = DriverFiles(maps=self.maps, version=self.version)

    def install(self, version: str) -> None:
        self.library = self.root / f"libnvidia-ml.so.{version}"
        self.library.write_text(version)
        link = self.root / "new"
        link.symlink_to(self.library)
        link.replace(self.root / "libnvidia-ml.so.1")
        self.version.write_text(version + "\n")


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_nothing_changes_while_nothing_changes(installed: Installed) -> None:
    """The first look remembers, the next ones compare: an untouched driver is never outdated."""
    assert [installed.files.changed() for _ in range(3)] == ["", "", ""]


def test_a_link_to_another_library_is_a_change(installed: Installed) -> None:
    """An upgrade that leaves the old file where it is still turns the link that programs load."""
    installed.files.changed()
    installed.install("590.44.01")
    assert "libnvidia-ml.so.1 was replaced" in installed.files.changed()


def test_a_library_that_is_gone_is_a_change(installed: Installed) -> None:
    """So is one that was removed."""
    installed.files.changed()
    installed.library.unlink()
    assert "580.105.08 was replaced" in installed.files.changed()


def test_a_module_of_another_version_is_a_change(installed: Installed) -> None:
    """A module that was loaded anew in another version is told apart from one that is not loaded for a moment."""
    installed.files.changed()
    installed.version.unlink()
    assert installed.files.changed() == ""
    installed.version.write_text("590.44.01\n")
    assert installed.files.changed() == "the driver's module went from 580.105.08 to 590.44.01"


def test_a_library_that_the_settings_name_is_followed_by_its_path(installed: Installed) -> None:
    """A library at a path of its own counts with the file that the path leads to."""
    path = installed.root / "elsewhere.so"
    path.write_text("1")
    files = DriverFiles(path, maps=installed.maps, version=installed.version)
    assert files.changed() == ""
    other = installed.root / "other"
    other.write_text("2")
    other.replace(path)
    assert "elsewhere.so was replaced" in files.changed()


def test_a_process_without_a_library_has_nothing_to_outdate(tmp_path: Path) -> None:
    """Before a driver is loaded there is nothing to compare, and this process has none."""
    assert loaded_library(tmp_path / "none") == ""
    assert DriverFiles(maps=tmp_path / "none", version=tmp_path / "none").changed() == ""
