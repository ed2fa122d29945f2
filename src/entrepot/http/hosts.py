"""Where a request came from and what this server is called there, when proxies stand in between.

Whoever sends a Host chooses it, so a link built from it would point where an attacker wants. Hence links are built from
the address that the operator set, else from a Host that is allowed. What a proxy adds (X-Forwarded-For, -Proto, -Host)
counts only if the connection comes from a proxy that the operator named; from anybody else it is just text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Scope

from entrepot.http.fields import field
from entrepot.model.errors import Malformed

__all__ = ["Hosts", "Origin"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?\.?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Origin:
    """How the client sees the request.

    Args:
        scheme: "http" or "https".
        host: As the client wrote it, with the port if it wrote one; lower case. None if it did not write any that can
            be read.
        client: The client's address as text, or None on a Unix socket.
    """

    scheme: str
    host: str | None
    client: str | None


class Hosts:
    """The operator's settings about names and proxies, and what follows from them.

    Args:
        public_url: The address by which clients reach this server; goes before anything a request says.
        allowed: Names that requests may be made under. IP addresses and localhost always may; `*.lab.example` allows
            every name below that one, and `*` every name at all.
        proxies: Addresses and networks whose X-Forwarded fields count.

    Raises:
        ValueError: One of `proxies` is no address or network.
    """

    def __init__(
        self, *, public_url: str | None = None, allowed: Collection[str] = (), proxies: Collection[str] = ()
    ) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None
        self._any = "*" in allowed
        names = {name.lower().rstrip(".") for name in allowed}
        self._names = frozenset({"localhost"} | {name for name in names if not name.startswith("*")})
        self._parents = tuple(name[1:] for name in names if name.startswith("*."))
        self._proxies = tuple(ipaddress.ip_network(one, strict=False) for one in proxies)

    def origin(self, scope: Scope) -> Origin:
        """Scheme, host and client of a request, past the proxies that may be believed."""
        peer = scope["client"][0] if scope.get("client") else None
        scheme, host, client = scope["scheme"], field(scope, b"host"), peer
        if self._proxies and self._trusted(_address(peer)):
            # The last value is what the nearest proxy says, the one that is known to be ours.
            told = _last(field(scope, b"x-forwarded-proto"))
            scheme = told.lower() if told and told.lower() in ("http", "https") else scheme
            host = _last(field(scope, b"x-forwarded-host")) or host
            client = self._behind(field(scope, b"x-forwarded-for"), peer)
        return Origin(scheme, host.lower() if host and _HOST.fullmatch(host.lower()) else None, client)

    def client(self, scope: Scope) -> str | None:
        """The client's address, as `origin` tells it; every request asks for it, most need nothing else."""
        if self._proxies:
            return self.origin(scope).client
        return scope["client"][0] if scope.get("client") else None

    def base_url(self, scope: Scope) -> str:
        """What absolute URLs of this server begin with, without a slash at the end.

        Raises:
            Malformed: No address was set, and the request's Host is missing or not allowed.
        """
        if self._public_url is not None:
            return self._public_url
        origin = self.origin(scope)
        if origin.host is None:
            raise Malformed("The request has no Host that can be read, and ENTREPOT_PUBLIC_URL is not set.")
        if not self.allows(origin.host):
            raise Malformed(
                f"This server does not answer to the name {origin.host!r}. Its operator can set ENTREPOT_PUBLIC_URL, "
                "or add the name to ENTREPOT_ALLOWED_HOSTS."
            )
        return f"{origin.scheme}://{origin.host}"

    def allows(self, host: str) -> bool:
        """Whether requests may be made under this name; a port does not matter."""
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match["name"].rstrip(".")
        # An address cannot be made to point elsewhere, which is what the other names are checked for.
        if self._any or name in self._names or _address(name) is not None:
            return True
        return name.endswith(self._parents) if self._parents else False

    def _trusted(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)

    def _behind(self, forwarded: str | None, peer: str | None) -> str | None:
        """The nearest address that is not one of our proxies: everything left of it may be invented."""
        client = peer
        for text in reversed((forwarded or "").split(",")):
            address = _address(text)
            if address is None:
                break
            client = str(address)
            if not self._trusted(address):
                break
        return client


def _last(value: str | None) -> str | None:
    return value.rpartition(",")[2].strip() if value else None


def _address(text: str | None) -> _Address | None:
    """The IP address in `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80`; None for anything else."""
    text = (text or "").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that listens on both families shows IPv4 clients in this form.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
