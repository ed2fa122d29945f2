"""The one way from the SDK to a server: requests, retries where they are safe, and errors of the one tree.

What is tried again, and for how long a caller is kept waiting:

- a connection that was never made: always, nothing was sent
- an answer that says when to come back (429, 503, 409 of a call still in flight): always, nothing was done
- a connection that broke later: only calls that may be made twice, which are GET, HEAD, PUT, DELETE, and a POST that
  carries an Idempotency-Key, so that the server recognises the second one

Everything else is the caller's to decide. Redirects are not followed: they would carry the token elsewhere.
"""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
import stamina
from pydantic import BaseModel, ValidationError

from entrepot._version import __version__
from entrepot.model.errors import EntrepotError, InProgress, Invalid, Unavailable, Unsupported
from entrepot.wire.messages.base import Request
from entrepot.wire.problem import FOREIGN, from_answer

__all__ = ["API", "Transport", "segment"]

API = "/api/v1"
#: For one call; a transfer has more.
PATIENCE_S = 15.0
#: Until the first answer ever: who mistyped an address shall not wait for it.
FIRST_PATIENCE_S = 1.5
#: For a call that its server says is being carried out. Whoever died over it is given up after a minute there.
CLAIM_PATIENCE_S = 90.0
#: An error page of somebody else is read up to here.
_MAX_ERROR = 1 << 20
#: The store is a shortcut: who cannot reach it soon is better served by the server.
_STORE_CONNECT_S = 5.0
#: Failures of the store in a row, after which nobody goes there any more.
_STORE_FAILURES = 4
_KEY = "Idempotency-Key"
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

T = TypeVar("T", bound=BaseModel)
Params = Mapping[str, Any]


class Transport:
    """Requests to one server with one token. May be used from several threads at once.

    Args:
        url: Of the server, as `credentials.normal_url` writes it.
        timeout: Seconds to wait for a connection and between two blocks of an answer.
        transport: Another way than the network, such as an application in memory.
        node: The worker node that the caller acts for.
        direct: Whether large bytes may go between this machine and the server's store, past the server. The attribute
            becomes False when the store turns out to be of no use from here: each file would wait for it anew.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
        node: str | None = None,
        direct: bool = False,
    ) -> None:
        self.url = url
        self.direct = direct
        self.timeout = timeout
        self._reached = False
        self._store_failures = 0
        headers = {"User-Agent": f"entrepot/{__version__}", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {_visible(token)}"
        if node is not None:
            headers["Node-Id"] = node
        self._http = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=timeout,
            transport=transport,
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0),
        )

    # --- JSON ---------------------------------------------------------------------------------------------------------

    def get(self, path: str, answer: type[T], params: Params | None = None, **more: Any) -> T:
        return self._read(self.send("GET", path, params=params, **more), answer)

    def get_tagged(self, path: str, answer: type[T]) -> tuple[T, str | None]:
        """With the entity tag of what was read, for a later change on condition."""
        response = self.send("GET", path)
        return self._read(response, answer), response.headers.get("ETag")

    def post(
        self,
        path: str,
        answer: type[T],
        body: Request | None = None,
        *,
        params: Params | None = None,
        keyed: bool = True,
        repeatable: bool | None = None,
        key: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> T:
        """A call that makes or does something. Its Idempotency-Key is its own, so it is repeated when in doubt.

        Args:
            keyed: False for calls that show a password, of which the server keeps no record, and for mere questions.
            repeatable: Whether it may be made twice although it has no key: a question, or what expires if unused.
            key: One that a journal holds, so that another process repeats this very call; by default a new one.
        """
        headers = {_KEY: key or uuid.uuid4().hex} if keyed else {}
        response = self.send(
            "POST",
            path,
            params=params,
            body=body,
            headers=headers,
            repeatable=keyed if repeatable is None else repeatable,
            patience_s=patience_s,
        )
        return self._read(response, answer)

    def put(self, path: str, answer: type[T], body: Request) -> T:
        return self._read(self.send("PUT", path, body=body), answer)

    def patch(self, path: str, answer: type[T], body: Request, *, if_match: str | None = None) -> T:
        headers = {} if if_match is None else {"If-Match": if_match}
        return self._read(self.send("PATCH", path, body=body, headers=headers), answer)

    def delete(self, path: str, answer: type[T], params: Params | None = None) -> T:
        return self._read(self.send("DELETE", path, params=params), answer)

    def pages(self, path: str, page: type[T], params: Params | None = None, *, limit: int | None = None) -> Iterator[T]:
        """The pages of a list, one request each, until there are no more.

        Args:
            limit: Rows a page; the server's own choice if None.
        """
        asked = {**(params or {}), **({} if limit is None else {"limit": limit})}
        while True:
            found = self.get(path, page, asked)
            yield found
            cursor = getattr(found, "next", None)
            if cursor is None:
                return
            asked = {**asked, "cursor": cursor}

    def rows(
        self, path: str, page: type[T], params: Params | None = None, *, limit: int | None = None
    ) -> Iterator[Any]:
        """The rows of all pages; a page is asked for when its first row is."""
        for found in self.pages(path, page, params, limit=limit):
            yield from found.rows  # type: ignore[attr-defined]

    def _read(self, response: httpx2.Response, answer: type[T]) -> T:
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise Unsupported(
                f"{self.url} answered {response.request.method} {response.request.url.path} in a form that this "
                "release does not understand. Check that the address is an Entrepot server's, or update entrepot.",
                details=FOREIGN,
            ) from error

    # --- requests -----------------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Request | None = None,
        content: bytes | Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
    ) -> httpx2.Response:
        """One call with a whole answer in memory: JSON, or the few bytes of an upload's answer.

        Args:
            path: Below the API, with a `/` in front; a full path of this host if it starts with the API's own prefix.
            content: Bytes, or a function that gives the blocks of the body anew for every attempt.
            repeatable: Whether the call may be made twice; by default as its method promises.
            timeout_s: How long the server may work on it without a word; by default as for every call.

        Raises:
            EntrepotError: What the server says, as the class it raised there.
            Unavailable: It could not be reached, or the connection broke.
        """
        sent = dict(headers or {})
        if body is not None:
            content = body.dump()
            sent["Content-Type"] = "application/json"
        safe = method in _REPEATABLE if repeatable is None else repeatable

        def once() -> httpx2.Response:
            payload = content() if callable(content) else content
            response = self._http.request(
                method,
                _full(path),
                params=_given(params),
                content=payload,
                headers=sent,
                timeout=self.timeout if timeout_s is None else httpx2.Timeout(self.timeout, read=timeout_s),
            )
            self._reached = True
            if response.is_success or response.status_code == 304:
                _require_no_page(response)
                return response
            raise _error(response, response.content)

        return self._repeat(once, safe, patience_s, claimed_s=CLAIM_PATIENCE_S if _KEY in sent else 0.0)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Request | None = None,
        headers: Mapping[str, str] | None = None,
        elsewhere: bool = False,
    ) -> Iterator[httpx2.Response]:
        """A call whose answer is read block by block; only its start is tried again.

        Args:
            elsewhere: Rather from the server's store, if the server sends us there. When that does not answer, the
                server is asked for the bytes themselves. The caller compares their digest.

        Raises:
            Unavailable: Also when the connection breaks while the caller reads.
        """
        # Compressed on the way, bytes could not be counted, ranged or resumed.
        sent = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
        content = None if body is None else body.dump()
        if content is not None:
            sent["Content-Type"] = "application/json"

        def opened(given: Params | None) -> httpx2.Response:
            request = self._http.build_request(method, _full(path), params=_given(given), content=content, headers=sent)
            return self._http.send(request, stream=True)

        def once() -> httpx2.Response:
            response = opened({**(params or {}), "direct": True} if elsewhere else params)
            self._reached = True
            if elsewhere and response.status_code == 307:
                response.close()
                response = self._at_store(response.headers.get("Location", ""), sent) or opened(params)
            if response.is_success:
                return response
            try:
                raise _error(response, _start_of(response))
            finally:
                response.close()

        response = self._repeat(once, True, PATIENCE_S)
        try:
            yield response
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def _at_store(self, url: str, headers: Mapping[str, str]) -> httpx2.Response | None:
        """What the store answers at an address of its own; None if nothing good. No credentials of ours go there."""
        shown = {name: value for name, value in headers.items() if name.lower() in ("range", "accept-encoding")}
        try:
            response = self._sent_to_store(httpx2.Request("GET", url, headers=shown), stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return None
        if response.is_success:
            return response
        response.close()
        return None

    def put_elsewhere(self, url: str, content: Iterable[bytes], size: int) -> None:
        """PUT to an address of the store. No credentials of ours go there, and it is not tried again.

        Raises:
            Unavailable: It could not be reached, or took nothing. The message does not hold the address.
        """
        try:
            described = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            response = self._sent_to_store(httpx2.Request("PUT", url, content=content, headers=described))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"The store of {self.url} broke off: {_reason(error)}.") from error
        if not response.is_success:
            raise Unavailable(f"The store of {self.url} answered {response.status_code}.")

    def _sent_to_store(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        limits = httpx2.Timeout(self.timeout, connect=min(_STORE_CONNECT_S, self.timeout))
        request.extensions = {**request.extensions, "timeout": limits.as_dict()}
        try:
            response = self._http.send(request, stream=stream)
        except httpx2.HTTPError as error:
            self.store_failed(for_good=isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout))
            raise
        if response.is_success:
            self._store_failures = 0
        else:
            self.store_failed()
        return response

    def store_failed(self, *, for_good: bool = False) -> None:
        """Note that the store was of no use; `for_good` or after some times in a row it is left alone from now on."""
        self._store_failures += 1
        if for_good or self._store_failures >= _STORE_FAILURES:
            self.direct = False

    def put_url(self, url: str, content: Callable[[], Iterable[bytes]], headers: Mapping[str, str]) -> httpx2.Response:
        """PUT to a signed address. It needs no credentials, so none are sent; it may even be on another host."""
        sent = {name: value for name, value in self._http.headers.items() if name.lower() != "authorization"}

        def once() -> httpx2.Response:
            request = httpx2.Request("PUT", url, content=content(), headers={**sent, **headers})
            response = self._http.send(request)
            if response.is_success:
                return response
            raise _error(response, response.content)

        return self._repeat(once, False, PATIENCE_S)

    def _repeat(
        self, once: Callable[[], httpx2.Response], safe: bool, patience_s: float, *, claimed_s: float = 0.0
    ) -> httpx2.Response:
        """
        Args:
            claimed_s: Patience with a server that says it is at it.
        """
        patience = patience_s if self._reached else min(patience_s, FIRST_PATIENCE_S)
        until = time.monotonic() + patience

        def again(error: BaseException) -> bool | float:
            if claimed_s and isinstance(error, InProgress):
                return _wait(error, safe, claimed_s)
            return time.monotonic() < until and _wait(error, safe, patience)

        response = None
        try:
            for attempt in stamina.retry_context(
                on=again,
                attempts=None,
                timeout=max(patience, claimed_s),
                wait_initial=0.1,
                wait_max=4.0,
                wait_jitter=0.3,
            ):
                with attempt:
                    response = once()
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        except httpx2.InvalidURL as error:
            raise Invalid(f"{self.url!r} is no address: {error}.") from error
        assert response is not None
        return response

    def _unreachable(self, error: httpx2.HTTPError) -> Unavailable:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                return Unavailable(
                    f"The certificate of {self.url} cannot be trusted: {cause}. If it was issued by your organisation, "
                    "name its authority's file in SSL_CERT_FILE."
                )
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
            return Unavailable(
                f"Cannot reach {self.url}: {_reason(error)}. Check the address, and that the server is running there."
            )
        if isinstance(error, httpx2.TimeoutException):
            return Unavailable(f"{self.url} did not answer within {self.timeout:g} s. Try again later.")
        return Unavailable(
            f"The connection to {self.url} broke: {_reason(error)}. Run it again: uploads and downloads go on "
            "where they stopped, archives begin anew."
        )

    def forget_token(self) -> None:
        """Go on as nobody: to log in, one must not show what may have run out."""
        self._http.headers.pop("Authorization", None)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def segment(text: str) -> str:
    """One segment of a path: an id, a name, a slug. `.` and `..` would be folded away, and no id is one of them."""
    if text in ("", ".", ".."):
        raise Invalid(f"{text!r} names nothing.")
    return quote(text, safe="")


def entry_segments(path: str) -> str:
    """An entry path inside a URL: each name quoted, the slashes kept."""
    return "/".join(segment(name) for name in path.split("/"))


def _full(path: str) -> str:
    return path if path.startswith(f"{API}/") else f"{API}{path}"


def _given(params: Params | None) -> dict[str, Any] | None:
    """Without what was not given, and with booleans as the wire has them."""
    if params is None:
        return None
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in params.items()
        if value is not None
    }


def _wait(error: BaseException, safe: bool, patience_s: float) -> bool | float:
    """Whether to try again, and in how many seconds if the server said so."""
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return not _is_certificate(error)
    if isinstance(error, httpx2.TransportError):
        return safe and not isinstance(error, httpx2.UnsupportedProtocol)
    if isinstance(error, EntrepotError):
        wait = error.details.get("retry_after_s")
        if isinstance(wait, int | float):
            return float(wait) + 0.05 if wait <= patience_s else False
        return safe and isinstance(error, Unavailable | InProgress)
    return False


def _is_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _error(response: httpx2.Response, body: bytes) -> EntrepotError:
    error = from_answer(response.status_code, body, retry_after=response.headers.get("Retry-After"))
    if 300 <= response.status_code < 400:
        return Unsupported(
            f"{response.request.url.host} answers with a redirect. Name the address it leads to as the server's.",
            details=FOREIGN,
        )
    return error


def _require_no_page(response: httpx2.Response) -> None:
    """A change that somebody on the way answered for was not made: whoever revokes a token must not believe it was."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if response.request.method not in ("GET", "HEAD") and media_type == "text/html":
        raise Unsupported(
            f"{response.request.url.host} answered with a web page, so nothing was done. Check that the address is "
            "that of an Entrepot server, and that no network on the way wants to be signed in to.",
            details=FOREIGN,
        )


def _start_of(response: httpx2.Response) -> bytes:
    if response.is_stream_consumed:
        return response.content[:_MAX_ERROR]
    found = bytearray()
    for block in response.iter_raw():
        found += block
        if len(found) > _MAX_ERROR:
            break
    return bytes(found[:_MAX_ERROR])


def _reason(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(cause).strip(" .") or type(error).__name__


def _visible(token: str) -> str:
    """The token if it can stand in a header at all; the message does not repeat it."""
    cleaned = token.strip()
    if not cleaned or not all("!" <= character <= "~" for character in cleaned):
        raise Invalid("The token has characters that no token has. Copy it again, without spaces or line breaks.")
    return cleaned
