"""What a page works with: the depot, the threads it is called in, who is asking, and how it answers.

A page makes one call into a worker thread: it finds out who asks, runs the use cases and writes the HTML there. A form
is judged before anything else is looked at: where it comes from, and that a page of ours holds it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from entrepot.depot import credentials
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Cookie
from entrepot.http import browser
from entrepot.http.body import read_all
from entrepot.http.credentials import Via, find
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.fields import field
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.errors import Forbidden, Malformed, Unauthenticated, Unsupported
from entrepot.web import rendering
from entrepot.web.links import local
from entrepot.web.oidc import Provider

__all__ = ["DOOR", "PREFIX", "Asked", "Context", "Form", "asking"]

DOOR: Final = "web"
PREFIX: Final = "/ui"
#: Proves a form of somebody who is not signed in: the sign-in form itself.
FORM_COOKIE: Final = "entrepot_form"
THEME_COOKIE: Final = "entrepot_theme"
#: A word for the next page, such as "Saved."; shown once.
NOTICE_COOKIE: Final = "entrepot_notice"
_FORM_LIMIT: Final = 2 << 20
_THEMES: Final = ("light", "dark")

T = TypeVar("T")

#: The request whose error is being written: error pages know by it who is signed in.
asking: ContextVar[Asked | None] = ContextVar("asking", default=None)


class Finding(Protocol):
    """One thing that was looked at: `state` is good, warning or bad; `mend` says what to do, if anything."""

    @property
    def what(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def mend(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Context:
    """One per process.

    Args:
        executor: Worker threads for the depot; bounded, because each holds a connection.
        doors: The doors that are open: their addresses are shown.
        oidc: The provider of identities, where there is one.
        health: Looks at the machine and the data folder, for operators; blocks.
    """

    depot: Depot
    executor: Executor
    hosts: Hosts
    doors: tuple[str, ...] = (DOOR,)
    health: Callable[[], Sequence[Finding]] = tuple
    oidc: Provider | None = None


class Form:
    """What a form sent: text fields, of which some can be there several times."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._pairs if key == name), default)

    def has(self, name: str) -> bool:
        """Whether the form had this field at all, empty or not."""
        return any(key == name for key, _ in self._pairs)

    def optional(self, name: str) -> str | None:
        """The text, or None if it is empty or not there."""
        return self.text(name).strip() or None

    def lines(self, name: str) -> str:
        """A longer text with the line ends that everything else uses: forms send those of another age."""
        return self.text(name).replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def flag(self, name: str) -> bool:
        return self.text(name) not in ("", "0", "no", "false")

    def number(self, name: str) -> int | None:
        """A whole number, or None if the field is empty.

        Raises:
            Malformed
        """
        return whole(name, self.text(name).strip())


class Asked:
    """One request on its way through a page.

    Args:
        found: The names in the path, percent-decoded.
    """

    __slots__ = ("_actor", "_query", "context", "found", "over", "receive", "scope", "send")

    def __init__(self, context: Context, scope: Scope, receive: Receive, send: Send, found: Mapping[str, str]) -> None:
        self.context = context
        self.scope = scope
        self.receive = receive
        self.send = send
        self.found = found
        self._actor: Actor | None = None
        self._query: dict[str, str] | None = None
        #: Whether the cookie was of a session that is over.
        self.over = False

    # The request

    @property
    def address(self) -> str | None:
        """Where the request comes from, proxies looked through."""
        return self.context.hosts.client(self.scope)

    @property
    def base_url(self) -> str:
        """The address by which this client reaches the server, without a slash at the end."""
        return self.context.hosts.base_url(self.scope)

    @property
    def path(self) -> str:
        """Path and query, as a later sign-in leads back to them."""
        raw: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        path = raw.partition(b"?")[0].decode("latin-1")
        query = self.scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters; of one that is there twice, the last.

        Raises:
            Malformed
        """
        if self._query is None:
            try:
                pairs = parse_qsl(
                    self.scope["query_string"].decode("ascii"),
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=100,
                )
            except ValueError as wrong:
                raise Malformed("The address is not percent-encoded UTF-8, or has too many parameters.") from wrong
            self._query = dict(pairs)
        return self._query

    def text(self, name: str) -> str | None:
        """A parameter; one without a value is not given."""
        return self.query.get(name) or None

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number.

        Raises:
            Malformed
        """
        return whole(name, self.query.get(name, ""))

    def cookie(self, name: str) -> str | None:
        found = find(self.scope, (Via.COOKIE,), cookie=name)
        return None if found is None else found.secret

    @property
    def session(self) -> str | None:
        """The cookie of the session, good or not."""
        return self.cookie(browser.SESSION_COOKIE)

    @property
    def theme(self) -> str:
        """`light` or `dark` where somebody chose; `auto` leaves it to their system."""
        chosen = self.cookie(THEME_COOKIE)
        return chosen if chosen in _THEMES else "auto"

    @property
    def is_https(self) -> bool:
        public = self.context.depot.public_url or ""
        return self.context.hosts.origin(self.scope).scheme == "https" or public.startswith("https:")

    # Who asks

    def authenticate(self) -> Actor:
        """Who asks. Blocks: for worker threads. A session that is over counts as none; what needs one then says so."""
        if self._actor is None:
            cookie = self.session
            depot = self.context.depot
            try:
                shown = None if cookie is None else Cookie(cookie)
                self._actor = credentials.authenticate(depot, shown, door=DOOR, address=self.address)
            except Unauthenticated:
                self.over = cookie is not None
                self._actor = credentials.entering(ANONYMOUS, door=DOOR, address=self.address)
                if not depot.policy.anonymous:
                    raise
        return self._actor

    @property
    def actor(self) -> Actor:
        """Who asked, as far as it is known by now."""
        return self._actor or ANONYMOUS

    def signed_in(self) -> Actor:
        """Somebody. For worker threads.

        Raises:
            Unauthenticated
        """
        actor = self.authenticate()
        if actor.is_anonymous:
            raise Unauthenticated("Sign in to see this page.")
        return actor

    # Forms

    def form_token(self) -> str:
        """What this browser's forms must send along; empty where it has no session."""
        return "" if self.session is None else browser.form_token(self.session)

    async def form(self, *, stranger: bool = False) -> Form:
        """The fields of a form that one of our pages sent.

        Args:
            stranger: Of a page for people who are not signed in, whoever may have signed in since it was loaded.

        Raises:
            Forbidden: It was another page.
            Unsupported, Malformed, TooLarge
        """
        self.require_here()
        media_type = (field(self.scope, b"content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            raise Unsupported("This address takes what the form of its page sends.")
        body = await read_all(self.receive, _FORM_LIMIT)
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=2000)
        except ValueError as wrong:
            raise Malformed("The form is not percent-encoded UTF-8, or has too many fields.") from wrong
        form = Form(pairs)
        self.require_token(form.text("csrf"), stranger=stranger)
        return form

    def require_here(self) -> None:
        """Refuse what a page of another site caused.

        Raises:
            Forbidden
        """
        if not browser.comes_from_here(self.scope, self.context.hosts):
            raise Forbidden("This form was sent by a page of another site, so nothing was done.")

    def require_token(self, shown: str, *, stranger: bool = False) -> None:
        """Refuse a form that does not hold what our pages put into it.

        Raises:
            Forbidden
        """
        if self.session is not None and not stranger:
            good = browser.is_form_token(shown, self.session)
        else:
            waiting = self.cookie(FORM_COOKIE)
            good = waiting is not None and hmac.compare_digest(shown.encode(), waiting.encode())
        if not good:
            raise Forbidden("This form is out of date, so nothing was done. Go back, load the page again, repeat it.")

    # Answers

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run use cases in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, lambda: use_case(self.context.depot, self.authenticate()))

    async def page(
        self,
        template: str,
        use_case: Callable[[Depot, Actor], Mapping[str, Any]] = lambda _depot, _actor: {},
        *,
        status: int = 200,
        public: bool = False,
        cookies: tuple[str, ...] = (),
    ) -> None:
        """Run a use case that ends in what a template needs, and answer with that page, written in the same thread.

        Args:
            public: Whether somebody who is not signed in may see the page at all; the depot judges what is on it.

        Raises:
            Unauthenticated: Nobody is signed in, and the page needs somebody.
        """

        def work() -> bytes:
            actor = self.authenticate() if public else self.signed_in()
            return self.render(template, use_case(self.context.depot, actor))

        await self.send_html(await in_thread(self.context.executor, work), status=status, cookies=cookies)

    def render(self, template: str, given: Mapping[str, Any]) -> bytes:
        """A page around what was found. For worker threads."""
        token = self.form_token()
        values = {
            "actor": self.actor,
            "theme": self.theme,
            "csrf": token,
            "here": self.path,
            "doors": self.context.doors,
            "provider": None if self.context.oidc is None else self.context.oidc.settings.label,
            "notice": rendering.notice(self.cookie(NOTICE_COOKIE)),
            "now": self.context.depot.now(),
            **given,
        }
        return rendering.render(template, values)

    async def send_html(self, body: bytes, *, status: int = 200, cookies: tuple[str, ...] = ()) -> None:
        if self.cookie(NOTICE_COOKIE) is not None:
            cookies = (*cookies, self.set_cookie(NOTICE_COOKIE, "", age=0, path=PREFIX))
        await self.answer(Answer(status, body, rendering.HTML, rendering.PAGE_FIELDS), cookies)

    async def go(self, path: str, *, notice: str | None = None, cookies: tuple[str, ...] = ()) -> None:
        """Lead the browser on with a GET, after a form did its work.

        Args:
            path: Of this door; anything else becomes its first page.
            notice: One of `rendering.NOTICES`, told on the next page.
        """
        if notice is not None:
            cookies = (*cookies, self.set_cookie(NOTICE_COOKIE, notice, age=60, path=PREFIX))
        await self.answer(Answer(303, headers={"location": local(path), "cache-control": "no-store"}), cookies)

    async def leave(self, url: str, cookies: tuple[str, ...]) -> None:
        """Lead the browser to the provider of identities, which is nowhere of ours."""
        await self.answer(Answer(303, headers={"location": url, "cache-control": "no-store"}), cookies)

    async def answer(self, answer: Answer, cookies: tuple[str, ...] = ()) -> None:
        if not cookies:
            await send_answer(self.send, answer)
            return

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                fields = [*message["headers"], *((b"set-cookie", one.encode("latin-1")) for one in cookies)]
                message = {**message, "headers": fields}
            await self.send(message)

        await send_answer(send, answer)

    def set_cookie(self, name: str, value: str, *, age: int | None = None, path: str = "/") -> str:
        """A Set-Cookie that no script can read and no other site can make a browser send with a form.

        Args:
            age: Seconds; 0 removes the cookie, None lets it end with the browser.
        """
        parts = [f"{name}={value}", f"Path={path}", "HttpOnly", "SameSite=Lax"]
        if age is not None:
            parts.append(f"Max-Age={age}")
        if self.is_https:
            parts.append("Secure")
        return "; ".join(parts)


def new_form_cookie() -> str:
    return secrets.token_urlsafe(24)


def whole(name: str, text: str) -> int | None:
    """A whole number out of an address or a form; None if it is empty.

    Raises:
        Malformed
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Malformed(f"{name} is {text[:40]!r}, which is not a whole number.")
    return int(text)
