"""Addresses and networks, and what fair sharing counts as one host."""

import pytest

from likeness.aws.addresses import fairness_unit, parse_address, parse_network


@pytest.mark.parametrize(
    ("address", "unit"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_host_with_ipv6_is_one_however_many_addresses_it_uses(address: str, unit: str) -> None:
    assert fairness_unit(address) == unit


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert str(parse_network(text)) == network
    assert parse_address(text.partition("/")[0]) in parse_network(text)


@pytest.mark.parametrize("text", ["", "10.0.0", "010.0.0.0/8", "nginx", "10.0.0.0/33", "::ffff:10.0.0.0/8"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_network(text)
