"""IP addresses and networks. An IPv4-mapped one (`::ffff:10.0.0.0/104`) is the IPv4 one that it stands for."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The bits before the IPv4 address in an IPv4-mapped one.
_MAPPED_BITS = 96
#: The least network that an IPv6 host is given, which may use all of its addresses (RFC 4291, section 2.5.4).
_HOST_NETWORK_BITS = 64


def parse_address(text: str) -> Address:
    """The address that a text names. Raises ValueError."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """The network, or the one address, that a text names; bits of a host are ignored. Raises ValueError."""
    written = ipaddress.ip_interface(text)
    mapped = getattr(written.ip, "ipv4_mapped", None)
    if mapped is None:
        return written.network
    bits = written.network.prefixlen - _MAPPED_BITS
    if bits < 0:
        raise ValueError(f"{text!r} is an IPv4-mapped network of fewer than {_MAPPED_BITS} bits: write it as IPv4")
    return ipaddress.ip_network((mapped, bits), strict=False)


def fairness_unit(address: str) -> str:
    """What connections and memory are shared by: an IPv4 address, or the /64 of an IPv6 address.

    A host with IPv6 has all addresses of a /64, and would be as many callers. What is not an IP address (the empty
    text of a Unix socket) is its own unit.
    """
    try:
        parsed = parse_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed), _HOST_NETWORK_BITS), strict=False))
