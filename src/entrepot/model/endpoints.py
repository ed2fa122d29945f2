"""Where this server may send to on somebody's word, and how that place is written.

Whoever may make a webhook names an address that the server then speaks to from inside its own network. So an endpoint
is read by one strict reader, which is also the one that the connection is made by: what no two readers agree on (user
names, odd spellings of numbers, backslashes, zones) is refused instead of interpreted. And an address is judged as the
number it is, after the name was resolved:

    allowed   what is globally reachable, and what the operator names
    refused   loopback, private, link-local (the metadata services of clouds), shared (CGNAT), multicast, documentation,
              benchmarking and reserved ranges; and forms that carry an IPv4 address inside an IPv6 one (mapped ones are
              judged by the address inside; 6to4, Teredo and NAT64 are refused)

Ports are judged too: many things that listen on one understand a line or two of a request that was not meant for them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from entrepot.model.errors import Invalid

__all__ = ["AddressRules", "Endpoint", "IpAddress", "parse_address", "parse_endpoint"]

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2048
_URL = re.compile(r"(?i:(https?))://([^/?#]*)(/[^?#]*)?(\?[^#]*)?")
#: Printable ASCII without what must be percent-encoded in an address anyway.
_LEGAL = re.compile(r"[!#-;=?-\[\]_a-z~]+")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,254}))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")

_DENIED_V4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        # The wire server of one cloud lies in a public range.
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: Nothing outside of it is globally reachable unicast.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_DENIED_V6: Final = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to send to, in parts.

    Args:
        host: Lower case; an IPv6 address without brackets.
        target: Path and query, as they are sent. May hold a secret of the receiver's: never in a log.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As the Host field has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_endpoint(text: str) -> Endpoint:
    """Read an address that something is to be sent to.

    Raises:
        Invalid: It is none, or is written in a way that other programs could read differently.
    """
    if not isinstance(text, str) or len(text) > MAX_URL or _LEGAL.fullmatch(text) is None:
        raise _refusal(
            f"has a character that an address does not have, or more than {MAX_URL:,} of them", "Percent-encode it"
        )
    match = _URL.fullmatch(text)
    if match is None:
        raise _refusal("is not one such as https://example.org/hook", "Begin with https:// or http://, without #")
    scheme, authority, path, query = match[1].lower(), match[2], match[3] or "/", match[4] or ""
    if "@" in authority:
        raise _refusal("has a user name in it", "Leave it out; requests are signed instead")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _refusal("names no host that can be read", "Write a name in ASCII (xn-- for others) or an address")
    port = int(parts[3]) if parts[3] else 443 if scheme == "https" else 80
    if not 0 < port < 65536:
        raise _refusal("has a port that does not exist", "Use 1 to 65535")
    host = _literal(parts[1], 6) if parts[1] else _name(parts[2])
    return Endpoint(scheme, host, port, path + query)


def _name(text: str) -> str:
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        # 127.1, 0x7f.1, 017700000001 and 2130706433 are all 127.0.0.1 to some resolvers.
        return _literal(host, 4)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refusal("names no host that can be read", "Write a name in ASCII (xn-- for others) or an address")
    return host


def _literal(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        found = None
    if found is None or found.version != version:
        raise _refusal("has a number as its host that is not an address in its usual form", "Write it as in 192.0.2.7")
    return str(found)


def parse_address(host: str) -> IpAddress | None:
    """The address that a host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refusal(rule: str, mend: str) -> Invalid:
    # The address itself is not repeated: it may hold a secret of the receiver's.
    return Invalid(f"The endpoint {rule}. {mend}.", details={"field": "endpoint"})


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What the operator allows.

    Args:
        networks: Ranges that may be reached although they are not public.
        hosts: Names that may be reached whatever they resolve to.
        ports: Pairs of the first and the last; the same for all hosts.
    """

    networks: tuple[_Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    ports: tuple[tuple[int, int], ...] = ((80, 80), (443, 443), (8080, 8080), (8443, 8443))

    def allows_port(self, port: int) -> bool:
        return any(first <= port <= last for first, last in self.ports)

    def allows(self, host: str, address: IpAddress) -> bool:
        """Whether this address may be connected to, as an answer for this host."""
        if host in self.hosts:
            return True
        plain = _plain(address)
        if any(plain in network for network in self.networks if network.version == plain.version):
            return True
        return is_public(plain)

    def judge(self, endpoint: Endpoint, addresses: Iterable[IpAddress]) -> None:
        """Refuse an endpoint of which any answer lies where this server does not send.

        Raises:
            Invalid: Which rule it breaks; not the address, which may be nobody's business.
        """
        if not self.allows_port(endpoint.port):
            raise _refusal(
                f"is at port {endpoint.port}, which this server does not send to",
                "Use another, or have the operator add it to webhook_ports",
            )
        for address in addresses:
            if not self.allows(endpoint.host, address):
                raise _refusal(
                    f"leads to an address that this server does not send to ({endpoint.host})",
                    "Use a public one, or have the operator add its network or name to webhook_allow",
                )


def _plain(address: IpAddress) -> IpAddress:
    """An IPv4 address that is written as an IPv6 one, as itself."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: IpAddress) -> bool:
    """Whether an address is one that anybody on the internet can be reached at."""
    plain = _plain(address)
    if isinstance(plain, ipaddress.IPv4Address):
        return not any(plain in network for network in _DENIED_V4)
    return plain.scope_id is None and plain in _GLOBAL_V6 and not any(plain in network for network in _DENIED_V6)
