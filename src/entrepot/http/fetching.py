"""Getting files from places outside, on somebody's word, as carefully as `courier` sends to them.

An address is resolved once, every answer is judged, and what was judged is what is connected to. The host that the
operator configured may be anywhere and on any port; every other has to be public, on the usual ports. Redirects are
not followed. Bytes are handed on in blocks as they come; a server that falls silent is given up.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from entrepot.http.courier import Resolve, system_resolve
from entrepot.model.endpoints import AddressRules, Endpoint, IpAddress, parse_address
from entrepot.model.errors import Invalid, TooLarge, Unavailable

__all__ = ["NetworkFetcher"]

_BLOCK: Final = 1 << 20
_ANY_PORT: Final = ((1, 65535),)
_USUAL_PORTS: Final = ((80, 80), (443, 443), (8080, 8080), (8443, 8443))


class NetworkFetcher:
    """Fetches over the network; safe to share between threads.

    Args:
        trusted: The host that the operator configured.
        silence_s: How long nothing may come.
    """

    def __init__(
        self,
        trusted: str | None,
        *,
        silence_s: float = 60.0,
        resolve: Resolve = system_resolve,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._trusted = AddressRules(hosts=frozenset() if trusted is None else frozenset({trusted}), ports=_ANY_PORT)
        self._others = AddressRules(ports=_USUAL_PORTS)
        self._silence_s = silence_s
        self._resolve = resolve
        self._make_tls = tls

    def fetch(self, endpoint: Endpoint, write: Callable[[bytes], object], *, limit: int | None = None) -> None:
        """
        Raises:
            Invalid: The address may not be gone to, or there is nothing at it.
            TooLarge: There is more than `limit`.
            Unavailable: It cannot be reached now, or broke off.
        """
        try:
            with contextlib.closing(self._connect(endpoint)) as sock:
                connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=self._silence_s)
                connection.sock = sock
                connection.request("GET", endpoint.target, headers={"Host": endpoint.authority, "Connection": "close"})
                with connection.getresponse() as response:
                    self._take(endpoint, response, write, limit)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{endpoint.host} broke off or does not answer ({type(error).__name__}).") from error

    def _take(
        self,
        endpoint: Endpoint,
        response: http.client.HTTPResponse,
        write: Callable[[bytes], object],
        limit: int | None,
    ) -> None:
        if response.status >= 500 or response.status == 429:
            raise Unavailable(f"{endpoint.host} answers {response.status} now.")
        if response.status == 204:
            return
        if response.status != 200:
            raise Invalid(f"{endpoint.host} answers {response.status} for {endpoint.target.partition('?')[0][:200]}.")
        taken = 0
        while block := response.read(_BLOCK):
            taken += len(block)
            if limit is not None and taken > limit:
                raise TooLarge(f"{endpoint.host} sends more than {limit} bytes.")
            write(block)

    def _connect(self, endpoint: Endpoint) -> socket.socket:
        rules = self._trusted if endpoint.host in self._trusted.hosts else self._others
        addresses = self._addresses(endpoint)
        rules.judge(endpoint, addresses)
        last: OSError | None = None
        for address in addresses:
            try:
                plain = socket.create_connection((str(address), endpoint.port), timeout=self._silence_s)
            except OSError as error:
                last = error
                continue
            if not endpoint.secure:
                return plain
            try:
                return self._make_tls().wrap_socket(plain, server_hostname=endpoint.host)
            except BaseException:
                plain.close()
                raise
        raise last or OSError(f"{endpoint.host} has no address")

    def _addresses(self, endpoint: Endpoint) -> Sequence[IpAddress]:
        literal = parse_address(endpoint.host)
        return [literal] if literal is not None else self._resolve(endpoint.host, endpoint.port)
