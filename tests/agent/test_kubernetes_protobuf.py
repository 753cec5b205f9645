"""The wire format of protobuf is read as Google's own library writes it, and what is no message is a typed error."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.kubernetes.podresources import ContainerDevices, parse_allocatable, parse_list
from agent.holders.kubernetes.protobuf import MalformedMessageError, fields
from gpuledger.errors import HolderError
from tests.agent.kubelet_messages import MESSAGES, allocatable, claimed, listing, plugged, pod

_WORDS = st.text(st.characters(codec="utf-8"), max_size=300)
_IDS = st.lists(_WORDS, max_size=5)


@st.composite
def pods(draw: st.DrawFn) -> object:
    containers = {
        f"c{n}": draw(
            st.lists(
                st.one_of(
                    st.builds(lambda name, ids: plugged(name, *ids), _WORDS, _IDS),
                    st.builds(lambda name, share: claimed(name, share_id=share), _WORDS, _WORDS),
                ),
                max_size=4,
            )
        )
        for n in range(draw(st.integers(0, 3)))
    }
    return pod(draw(_WORDS), draw(_WORDS), **containers)


def as_google_reads(body: bytes) -> list[ContainerDevices]:
    found = []
    for one in MESSAGES["ListPodResourcesResponse"].FromString(body).pod_resources:
        for container in one.containers:
            devices = tuple((part.resource_name, tuple(part.device_ids)) for part in container.devices)
            claims = tuple(
                (
                    part.driver_name,
                    part.pool_name,
                    part.device_name,
                    part.share_id,
                    f"{claim.claim_namespace}/{claim.claim_name}",
                )
                for claim in container.dynamic_resources
                for part in claim.claim_resources
            )
            if devices or claims:
                found.append(ContainerDevices(one.namespace, one.name, container.name, devices, claims))  # type: ignore[arg-type]
    return found


@given(st.lists(pods(), max_size=4))
def test_every_list_reads_as_googles_library_reads_it(listed: list[object]) -> None:
    """Names, ids and claims come out as they went in; cpus, memory and topology are passed over."""
    body = listing(*listed)
    assert list(parse_list(body)) == as_google_reads(body)


@given(st.lists(st.builds(lambda name, ids: plugged(name, *ids), _WORDS, _IDS), max_size=5))
def test_allocatable_devices_read_as_googles_library_reads_them(devices: list[object]) -> None:
    """The second message too, its cpus and memory passed over."""
    assert parse_allocatable(allocatable(*devices)) == tuple(
        (one.resource_name, tuple(one.device_ids)) for one in devices
    )  # type: ignore[attr-defined]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(hostile: bytes) -> None:
    """Whatever stands on the socket is a result or the one typed error: never another, never a hang."""
    for parse in (parse_list, parse_allocatable):
        with contextlib.suppress(MalformedMessageError):
            parse(hostile)


def test_an_error_says_what_to_look_at() -> None:
    """It is a HolderError, and its hint names the socket."""
    with pytest.raises(HolderError) as refused:
        parse_list(b"\x08")
    assert "socket" in refused.value.hint


@given(st.lists(pods(), min_size=1, max_size=2), st.data())
def test_what_is_cut_off_is_refused_where_google_refuses_it(listed: list[object], data: st.DataObject) -> None:
    """A truncated message never passes for a whole one, except where it is cut between two of its pods."""
    body = listing(*listed)
    cut = body[: data.draw(st.integers(0, len(body)))]
    try:
        expected = as_google_reads(cut)
    except DecodeError:
        with pytest.raises(MalformedMessageError):
            parse_list(cut)
    else:
        assert list(parse_list(cut)) == expected


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"\x08\x96\x01", [150]),
        (b"\x08" + b"\xff" * 9 + b"\x01", [2**64 - 1]),
        (b"\x09" + (7).to_bytes(8, "little"), [7]),
        (b"\x0d" + (7).to_bytes(4, "little"), [7]),
        (b"\x13\x08\x01\x1b\x1c\x14\x08\x05", [5]),  # a group with a group inside, then a field
    ],
)
def test_every_wire_type_is_read(body: bytes, values: list[int]) -> None:
    """Numbers of every width come out; groups, which nobody writes any more, are stepped over."""
    assert [field.value for field in fields(body)] == values


@pytest.mark.parametrize(
    "body",
    [
        b"\x08",  # no value
        b"\x80" * 11,  # a tag that does not end
        b"\x08" + b"\xff" * 11,  # a number that does not end
        b"\x00\x01",  # field number 0
        b"\x0a\x05ab",  # shorter than it says
        b"\x0a" + b"\xff" * 9 + b"\x01",  # longer than any memory
        b"\x09\x01",  # half a fixed64
        b"\x0e\x01",  # wire type 6
        b"\x0c",  # a group that ends and never began
        b"\x13\x1c",  # a group that ends as another
        b"\x13" * 5_000,  # groups without end
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    """Each way to be wrong is the same typed error."""
    with pytest.raises(MalformedMessageError):
        list(fields(body))


def test_a_field_of_another_type_than_expected_is_refused() -> None:
    """A number where a name must be is not a name; a name is UTF-8."""
    with pytest.raises(MalformedMessageError, match="wire type"):
        parse_list(b"\x0a\x02\x08\x01")
    with pytest.raises(MalformedMessageError, match="UTF-8"):
        parse_list(b"\x0a\x03\x0a\x01\xff")


def test_fields_of_a_newer_kubelet_are_passed_over() -> None:
    """A message with unknown fields in every place reads as without them."""
    known = listing(pod("p", main=[plugged("nvidia.com/gpu", "GPU-1")]))
    unknown = b"\xfa\x3f\x03new" + b"\x88\x3f\x01"
    assert parse_list(unknown + known + unknown) == parse_list(known)
