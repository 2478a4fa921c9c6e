from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.multicast import group_host, is_ipv6, sap_host, source_host
from loa.errors import WireError

groups = st.integers(0, 2**24 - 1).map(lambda n: str(IPv4Address(239 << 24 | n))) | st.builds(
    lambda flags, scope, rest: str(IPv6Address(0xFF << 120 | flags << 116 | scope << 112 | rest)),
    st.sampled_from((1, 3)),
    st.sampled_from((3, 4, 5, 8, 14)),
    st.integers(0, 2**112 - 1),
)


@given(groups.filter(lambda host: host not in ("239.255.255.255", "239.195.255.255")))
def test_a_group_keeps_its_text_and_is_announced_within_its_own_scope(host: str) -> None:
    assert group_host(host) == host
    announced = ip_address(sap_host(host))
    assert announced.is_multicast
    if isinstance(announced, IPv6Address):
        assert is_ipv6(host)
        assert announced.packed[1] & 0xF == ip_address(host).packed[1] & 0xF
    else:
        assert announced.packed[0] == 239


@given(st.text(max_size=60) | st.ip_addresses().map(str))
def test_any_text_is_a_group_in_its_usual_form_or_refused(text: str) -> None:
    try:
        host = group_host(text)
    except WireError:
        return
    assert ip_address(host).is_multicast
    assert group_host(host) == host == str(ip_address(text))
    with pytest.raises(WireError):
        source_host(host)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1",  # one machine
        "224.0.0.1",  # all machines of a link
        "224.0.0.251",  # somebody else's
        "232.0.0.7",  # RFC 4607 keeps it
        "239.255.255.255",  # where sessions are announced
        "ff02::1",  # all machines of a link
        "ff35::1%eth0",
        "ff31::1",
        "ff32::1",
        "ff05::1",  # permanent: IANA gives it out
        "::ffff:239.0.0.1",
        "239.0.0.1\n",
        "239.0.0",
        "",
        "239.0.0.1" * 9,
    ],
)
def test_what_may_carry_no_sound_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        group_host(text)


@pytest.mark.parametrize(
    ("group", "announced"),
    [
        ("239.255.7.1", "239.255.255.255"),
        ("239.192.0.9", "239.195.255.255"),
        ("239.195.0.9", "239.195.255.255"),
        ("239.1.2.3", "239.255.255.255"),
        ("232.1.2.3", "224.2.127.254"),
        ("ff15::4", "ff05::2:7ffe"),
        ("ff3e::4", "ff0e::2:7ffe"),
    ],
)
def test_a_session_is_announced_where_rfc_2974_says(group: str, announced: str) -> None:
    assert sap_host(group) == announced


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "239.0.0.1", "ff15::1", "::ffff:192.0.2.1", "core", "fe80::1%2"])
def test_a_source_is_one_machine(text: str) -> None:
    with pytest.raises(WireError):
        source_host(text)


def test_a_source_has_one_form() -> None:
    assert source_host("2001:DB8:0::1") == "2001:db8::1"
