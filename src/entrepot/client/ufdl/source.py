"""A server of UFDL as a source to read from: its requests as its own client makes them, and nothing that changes it.

Everything asked here only reads, so every call is tried again while the connection fails: a source may be restarted
under a long import. Its tokens run out within minutes; they are renewed without a word, by refresh, else by name and
password. Files come without ranges there: a broken one is fetched again from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
import stamina

from entrepot._version import __version__
from entrepot.client.credentials import normal_url
from entrepot.client.ufdl.records import Dataset, Licence, Project, Team, mapping_of_texts
from entrepot.model.errors import (
    BadCredentials,
    Corrupt,
    EntrepotError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

__all__ = ["ROLES", "Source"]

#: How long a source may be away in the middle of an import, and before the first answer.
PATIENCE_S: Final = 60.0
FIRST_PATIENCE_S: Final = 1.5
#: A permission's letter there, and the role's name here.
ROLES: Final = {"R": "read", "X": "execute", "W": "write", "A": "admin"}
_AWAY: Final = frozenset({429, 502, 503, 504})
_BLOCK: Final = 1 << 18

T = TypeVar("T")


class _Away(Unavailable):
    """It said that it cannot answer now."""


class Source:
    """Reads from one server of UFDL as one of its users. May be used from several threads.

    Args:
        url: With or without the `/v1` at its end.
        timeout: Seconds to wait for a connection and between two blocks of an answer.
        transport: Another way than the network.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = normal_url(url).removesuffix("/v1")
        self._username = username
        self._password = password
        self._access: str | None = None
        self._refresh: str | None = None
        self._reached = False
        self._http = httpx2.Client(
            base_url=self.url,
            # Compressed on the way, a file that broke off could look whole.
            headers={"User-Agent": f"entrepot/{__version__}", "Accept-Encoding": "identity"},
            timeout=timeout,
            transport=transport,
            limits=httpx2.Limits(max_connections=16, keepalive_expiry=4.0),
        )

    # --- what there is ------------------------------------------------------------------------------------------------

    def log_in(self) -> None:
        """
        Raises:
            BadCredentials: It knows no such name and password.
            Unavailable: It cannot be reached.
        """
        self._patiently(lambda: self._token(None))

    def teams(self, *, trashed: bool) -> list[Team]:
        return [Team.read(row) for row in self._list("teams", trashed=trashed)]

    def projects(self, *, trashed: bool) -> list[Project]:
        return [Project.read(row) for row in self._list("projects", trashed=trashed)]

    def licences(self) -> list[Licence]:
        return [Licence.read(row) for row in self._list("licences", trashed=False)]

    def datasets(self, project: int, *, trashed: bool) -> Iterator[Dataset]:
        """The records of a project's datasets, without the names of their files."""
        here = {"type": "exact", "field": "project", "value": project}
        return (Dataset.read(row, files=False) for row in self._list("datasets", [here], trashed=trashed))

    def user_names(self) -> dict[int, str]:
        """Of everybody, by number; of nobody, where the caller may not know."""
        try:
            rows = self._list("users", trashed=True)
        except (Forbidden, NotFound):
            return {}
        return {row["pk"]: str(row["username"]) for row in rows if isinstance(row, dict) and "username" in row}

    def role(self, team: int, member: str) -> str | None:
        """A member's role in a team; None where the caller may not know, or it has ended meanwhile."""
        try:
            letter = self._json("GET", f"/teams/{team}/permissions/{quote(member, safe='')}")
        except (Forbidden, NotFound, Invalid):
            return None
        return ROLES.get(letter) if isinstance(letter, str) else None

    def dataset(self, pk: int) -> Dataset:
        """With the names and handles of its files."""
        return Dataset.read(self._json("GET", f"/datasets/{pk}"), files=True)

    def texts(self, pk: int) -> dict[str, str]:
        """The metadata of all files of a dataset, by name."""
        return mapping_of_texts(self._json("GET", f"/datasets/{pk}/metadata"), "metadata")

    def _list(self, kind: str, expressions: Sequence[Any] = (), *, trashed: bool) -> list[Any]:
        asked: dict[str, Any] = {"expressions": [*expressions]} if expressions else {}
        if trashed:
            asked["include_inactive"] = True
        found = self._json("POST", f"/{kind}/list", asked or None)
        if not isinstance(found, list):
            raise Unsupported(f"{self.url} lists no {kind}. Check that it is the address of a server of UFDL.")
        return found

    # --- files --------------------------------------------------------------------------------------------------------

    def fetch(self, pk: int, name: str, receive: Callable[[Iterator[bytes]], T]) -> T:
        """One file, as often as it takes: `receive` gets its blocks from the start each time.

        Raises:
            Unavailable: The connection broke again and again.
            Corrupt: The source fails to give it.
        """
        path = f"/datasets/{pk}/files/{quote(name, safe='/')}"

        def once() -> T:
            with self._asked("GET", path) as answer:
                return receive(answer.iter_raw(_BLOCK))

        return self._patiently(once)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        def once() -> Any:
            with self._asked(method, path, body) as answer:
                answer.read()
                try:
                    return answer.json()
                except ValueError as error:
                    raise Unsupported(
                        f"{self.url} answers {method} {path} with something that is no JSON. Check that it is the "
                        "address of a server of UFDL."
                    ) from error

        return self._patiently(once)

    @contextmanager
    def _asked(self, method: str, path: str, body: Any = None) -> Iterator[httpx2.Response]:
        for renewed in (False, True):
            used = self._access or self._token(None)
            request = self._http.build_request(
                method, f"/v1{path}", json=body, headers={"Authorization": f"Bearer {used}"}
            )
            answer = self._http.send(request, stream=True)
            try:
                self._reached = True
                if answer.status_code == 401 and not renewed:
                    answer.read()
                    self._token(used)
                    continue
                if not answer.is_success:
                    answer.read()
                    raise self._refusal(answer, f"{method} {path}")
                yield answer
                return
            finally:
                answer.close()

    def _token(self, stale: str | None) -> str:
        """An access token that is not the stale one."""
        if self._access is not None and self._access != stale:
            return self._access
        if self._refresh is not None:
            answer = self._http.post("/v1/auth/refresh", json={"refresh": self._refresh})
            if answer.is_success:
                self._access = self._text(answer, "access")
                return self._access
        self._refresh = None
        answer = self._http.post("/v1/auth/obtain", json={"username": self._username, "password": self._password})
        self._reached = True
        if answer.status_code == 401:
            raise BadCredentials(
                f"{self.url} knows no active account {self._username!r} with this password. Check both."
            )
        if not answer.is_success:
            raise self._refusal(answer, "the login")
        access, self._refresh = self._text(answer, "access"), self._text(answer, "refresh")
        self._access = access
        return access

    def _text(self, answer: httpx2.Response, name: str) -> str:
        try:
            found = answer.json()[name]
        except (ValueError, TypeError, KeyError):
            found = None
        if not isinstance(found, str):
            raise Unsupported(f"{self.url} gives no tokens. Check that it is the address of a server of UFDL.")
        return found

    def _refusal(self, answer: httpx2.Response, what: str) -> EntrepotError:
        status = answer.status_code
        try:
            said = answer.json()
            text = str(said.get("detail", said)) if isinstance(said, dict) else str(said)
        except ValueError:
            text = answer.reason_phrase
        message = f"The source refuses {what} ({status}): {text[:300]}"
        if status in _AWAY:
            wait = answer.headers.get("Retry-After", "")
            return _Away(message, details={"retry_after_s": float(wait)} if wait.isdecimal() else {})
        if status >= 500:
            return Corrupt(f"The source fails at {what} ({status}).")
        kinds: dict[int, type[EntrepotError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound}
        return kinds.get(status, Invalid)(message)

    def _patiently(self, once: Callable[[], T]) -> T:
        patience = PATIENCE_S if self._reached else FIRST_PATIENCE_S
        try:
            for attempt in stamina.retry_context(
                on=_wait, attempts=None, timeout=patience, wait_initial=0.1, wait_max=4.0, wait_jitter=0.3
            ):
                with attempt:
                    return once()
        except httpx2.HTTPError as error:
            if self._reached:
                raise Unavailable(
                    f"The connection to {self.url} broke again and again ({error}). Run it again: it goes on where it "
                    "stopped."
                ) from error
            raise Unavailable(f"Cannot reach {self.url}: {error}. Check the address.") from error
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wait(error: Exception) -> bool | float:
    if isinstance(error, _Away):
        wait = error.details.get("retry_after_s")
        return float(wait) if isinstance(wait, float) else True
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)
