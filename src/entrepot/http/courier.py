"""Sending to places outside, on somebody's word, without becoming their way into this network.

    endpoint ─► resolve once ─► judge every answer ─► connect to one of exactly these ─► TLS for the name ─► POST

A name that is resolved for a check and again for the connection may have two answers. Here it is resolved once for each
attempt, and what was judged is what is connected to; the Host field and the certificate are those of the name. Where
one answer of several is refused, all are: whoever mixes them does so on purpose.

The answer is read as far as it is of use: a status, and the first bytes of the body to show. Redirects are answers like
any other and are not followed. No proxy of the environment is used, because it would connect to what nobody judged.
One deadline covers everything from the first look-up to the status; a body that does not end is left where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from entrepot.depot.outgoing import Answered
from entrepot.model.endpoints import AddressRules, Endpoint, IpAddress, parse_address
from entrepot.model.errors import EntrepotError, Unavailable

__all__ = ["MAX_EXCERPT", "NetworkCourier", "Resolve", "system_resolve"]

#: Gives the addresses of a name. Raises OSError when it has none.
Resolve = Callable[[str, int], Sequence[IpAddress]]

#: Bytes of an answer's body that are kept.
MAX_EXCERPT: Final = 1024
#: Bytes of an answer's head; one that is longer is no answer to a webhook.
_MAX_HEAD: Final = 16 << 10
#: How long the beginning of a body is waited for once the status is known.
_BODY_S: Final = 1.0
_MAX_INTERIM: Final = 5
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?")


def system_resolve(host: str, port: int) -> list[IpAddress]:
    """As the machine resolves names; each address once, in its order."""
    found: dict[IpAddress, None] = {}
    for _family, _kind, _protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        # A link-local answer may name its interface.
        known = parse_address(str(address[0]).partition("%")[0])
        if known is not None:
            found[known] = None
    return list(found)


class NetworkCourier:
    """Carries requests over the network; safe to share between threads.

    Args:
        timeout_s: For one attempt as a whole.
        tls: How certificates are judged; the system's authorities if not given.
    """

    def __init__(
        self,
        rules: AddressRules,
        *,
        timeout_s: float,
        resolve: Resolve = system_resolve,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._rules = rules
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None

    def check(self, endpoint: Endpoint) -> None:
        try:
            addresses = self._addresses(endpoint)
        except (OSError, Unavailable):
            # Not known now. The port and the name are judged all the same.
            addresses = ()
        self._rules.judge(endpoint, addresses)

    def post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Answered:
        begun = time.monotonic()
        try:
            addresses = self._addresses(endpoint)
            self._rules.judge(endpoint, addresses)
        except EntrepotError as refused:
            return Answered(None, str(refused), took_s=time.monotonic() - begun)
        except OSError:
            return Answered(None, f"{endpoint.host} has no address.", took_s=time.monotonic() - begun)
        left = max(self._timeout_s - (time.monotonic() - begun), 0.001)
        try:
            status, excerpt = asyncio.run(self._exchange(endpoint, addresses, _request(endpoint, headers, body), left))
        except _NoAnswer as none:
            return Answered(None, str(none), took_s=time.monotonic() - begun)
        return Answered(status, None, _text(excerpt), time.monotonic() - begun)

    def _addresses(self, endpoint: Endpoint) -> Sequence[IpAddress]:
        literal = parse_address(endpoint.host)
        if literal is not None:
            return [literal]
        return _within(self._timeout_s, lambda: self._resolve(endpoint.host, endpoint.port))

    async def _exchange(
        self, endpoint: Endpoint, addresses: Sequence[IpAddress], request: bytes, left: float
    ) -> tuple[int, bytes]:
        """Raises _NoAnswer."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(left):
                reader, writer = await self._connect(endpoint, addresses)
                writer.write(request)
                # A receiver may answer before it has read everything: what it says then counts.
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                status, fields = await _head(reader)
            return status, await _excerpt(reader, fields)
        except TimeoutError:
            raise _NoAnswer(f"{endpoint.host} did not answer within {self._timeout_s:g} s.") from None
        except ssl.SSLError as error:
            raise _NoAnswer(f"No trusted connection to {endpoint.host}: {error.reason or 'TLS failed'}.") from None
        except (OSError, EOFError) as error:
            # Not its own words, which name the address that was connected to.
            known = getattr(error, "errno", None)
            why = os.strerror(known).lower() if known else "the connection was closed before an answer"
            raise _NoAnswer(f"{endpoint.host} did not answer: {why}.") from None
        finally:
            if writer is not None:
                # Not an orderly end, which a peer could delay for as long as it likes.
                writer.transport.abort()
                await asyncio.sleep(0)

    async def _connect(
        self, endpoint: Endpoint, addresses: Sequence[IpAddress]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        last: Exception = OSError(f"{endpoint.host} has no address")
        for address in addresses:
            try:
                return await asyncio.open_connection(
                    str(address),
                    endpoint.port,
                    limit=_MAX_HEAD,
                    ssl=self._context() if endpoint.secure else None,
                    server_hostname=endpoint.host if endpoint.secure else None,
                )
            except OSError as error:
                last = error
        raise last

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls


class _NoAnswer(Exception):
    """Nothing came that could be taken for an answer."""


def _request(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "host": endpoint.authority,
        **headers,
        "accept-encoding": "identity",
        "content-length": str(len(body)),
        "connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {endpoint.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


async def _head(reader: asyncio.StreamReader) -> tuple[int, Mapping[bytes, bytes]]:
    """The status and fields of the final answer."""
    for _ in range(_MAX_INTERIM):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise _NoAnswer(f"The answer's head is longer than {_MAX_HEAD:,} bytes.") from None
        first, *rest = head.split(b"\r\n")
        match = _STATUS.fullmatch(first)
        if match is None:
            raise _NoAnswer("The answer is not HTTP.")
        status = int(match[1])
        if status >= 200:
            fields = (line.partition(b":") for line in rest if line)
            return status, {name.strip().lower(): value.strip() for name, _, value in fields}
    raise _NoAnswer("The answer never came to its end.")


async def _excerpt(reader: asyncio.StreamReader, fields: Mapping[bytes, bytes]) -> bytes:
    """The first bytes of the body; whatever goes wrong with them is of no account."""
    told = fields.get(b"content-length", b"")
    wanted = min(int(told), MAX_EXCERPT) if told.isdigit() and len(told) < 19 else MAX_EXCERPT
    chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
    found = b""
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(_BODY_S):
            while len(found) < wanted:
                more = await reader.read(wanted - len(found))
                if not more:
                    break
                found += more
                if chunked and found.endswith(b"0\r\n\r\n"):
                    break
    return _without_chunks(found) if chunked else found


def _without_chunks(raw: bytes) -> bytes:
    """What is there of a chunked body, as far as it can be read."""
    found = b""
    while raw:
        line, _, raw = raw.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            break
        if size <= 0:
            break
        found += raw[:size]
        raw = raw[size + 2 :]
    return found


def _text(excerpt: bytes) -> str:
    """As a text that people, terminals and databases can take."""
    shown = excerpt.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in shown)


def _within(timeout_s: float, work: Callable[[], Sequence[IpAddress]]) -> Sequence[IpAddress]:
    """What a look-up answers, if it does so in time: the system's resolver has no bound of its own.

    Raises:
        Unavailable: It does not.
        OSError: It has no answer.
    """
    answers: list[Sequence[IpAddress]] = []
    errors: list[OSError] = []

    def ask() -> None:
        try:
            answers.append(work())
        except OSError as error:
            errors.append(error)
        except UnicodeError:
            # What the resolver's own encoding refuses.
            errors.append(OSError("no such name"))

    # A daemon: a resolver that hangs must not keep the process from ending.
    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(timeout_s)
    if errors:
        raise errors[0]
    if not answers:
        raise Unavailable(f"The name was not resolved within {timeout_s:g} s.")
    return answers[0]
