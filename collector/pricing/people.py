"""The file of people: which team and department each user belongs to, and since when, as CSV or TOML.

One line a membership (TOML: `[[person]]`) with `user`, `team` and, where wanted, `department`, `from` and `to`. Who
moves has a line for each place. A file is the whole directory, not a change to it.
"""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.directory import Directory, Membership
from gpuledger.errors import OwnerMappingError

KEYS: Final = ("user", "team", "department", "from", "to")
_PEOPLE: Final = FileKind(
    "person", "person", OwnerMappingError, "a person needs a user and a team: a CSV file with the columns user,team"
)


def parse_directory(content: bytes, as_format: FileFormat, source: str) -> Directory:
    """Return the directory in a file; raises OwnerMappingError that names the line or entry and the next step."""
    document = read_document(content, as_format, source, _PEOPLE)
    if as_format == "csv":
        refuse_unknown(document.settings["columns"], KEYS, f"{source}: line 1", _PEOPLE)
    else:
        refuse_unknown(document.settings, ("person",), source, _PEOPLE)
    memberships = [_membership(record) for record in document.records]
    try:
        return Directory(memberships)
    except OwnerMappingError as error:
        raise OwnerMappingError(f"{source}: {error.message}", hint=error.hint) from error


def _membership(record: Record) -> Membership:
    refuse_unknown(record.values, KEYS, record.where, _PEOPLE)
    from_us, to_us = validity_fields(record, _PEOPLE)
    return Membership(
        user=required_text(record, "user", _PEOPLE),
        team=required_text(record, "team", _PEOPLE),
        department=text_field(record, "department", _PEOPLE),
        from_us=from_us,
        to_us=to_us,
    )
