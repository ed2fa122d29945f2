"""`entrepot.Client`: one server, one identity, and the nouns one works with."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

import httpx2

from entrepot.client import credentials, pins
from entrepot.client.cache import ContentCache
from entrepot.client.resources.data import Data
from entrepot.client.resources.data_types import DataTypes
from entrepot.client.resources.links import Events, Relationships, Search, Tasks
from entrepot.client.resources.people import Nodes, Teams, Tokens, Users
from entrepot.client.resources.projects import Collections, Licences, Projects
from entrepot.client.resources.records import Records
from entrepot.client.resources.tables import Tables
from entrepot.client.resources.versions import Datasets, Versions
from entrepot.client.resources.webhooks import Batches, Webhooks
from entrepot.client.transport import Transport
from entrepot.model.values import Scope
from entrepot.wire.messages.resolve import Resolved
from entrepot.wire.messages.server import Server
from entrepot.wire.messages.tokens import Login, TokenCreated, WhoAmI

__all__ = ["Client"]


class Client:
    """A connection to an Entrepot server.

        with entrepot.Client("https://data.example.org", token) as client:
            client.data.push("penguins/", "lab/penguins", message="2009 season")

    Nothing is sent before the first call. May be used from several threads. Close it, or use it in a `with` block.

    Args:
        url: The server; else ENTREPOT_URL, else the one that `entrepot login` was last used with.
        token: An API token; else ENTREPOT_TOKEN, else the one stored for this server. Without any, one is anonymous.
        timeout: Seconds to wait for a connection and between two blocks of an answer.
        transport: Another way than the network, such as an application in memory.
        node: The worker node (`node_…`) that the caller acts for.
        cache_size: Bytes that read contents may take on this computer's disk; else ENTREPOT_CACHE_SIZE, else 5 GiB.
        direct: Send and fetch large files past the server, where its bytes lie in a bucket that can be reached from
            here. Everything is checked as ever, and goes by the server where that does not work.

    Raises:
        Unauthenticated: No server is named anywhere.
        Invalid: The address or the token cannot be one.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
        node: str | None = None,
        cache_size: int | None = None,
        direct: bool = False,
    ) -> None:
        address, found = credentials.resolve(url, token)
        self._timeout = timeout
        self._network = transport
        self._node = node
        self._cache_size = cache_size
        self._direct = direct
        self.transport = self._connected(address, found)

    def _connected(self, url: str, token: str | None) -> Transport:
        return Transport(
            url, token, timeout=self._timeout, transport=self._network, node=self._node, direct=self._direct
        )

    @property
    def url(self) -> str:
        return self.transport.url

    @cached_property
    def cache(self) -> ContentCache:
        return ContentCache(bound=self._cache_size)

    # --- who and what -------------------------------------------------------------------------------------------------

    def login(
        self,
        username: str,
        password: str,
        *,
        scope: str | Scope = Scope.ADMIN,
        token_name: str = "",
        expires_in_s: int | None = None,
    ) -> TokenCreated:
        """Exchange a password for a token, which this client uses from then on.

        Raises:
            BadCredentials: Name or password is wrong.
            RateLimited: Too many failures; wait as long as it says.
        """
        given = {} if expires_in_s is None else {"expires_in_s": expires_in_s}
        body = Login(username=username, password=password, scope=Scope(scope), token_name=token_name, **given)
        made = self.transport.post("/login", TokenCreated, body, keyed=False)
        if self._network is None:
            self.transport.close()
        self.transport = self._connected(self.url, made.token)
        return made

    def logout(self) -> None:
        """End the token that this client uses."""
        self.transport.send("POST", "/logout")

    def whoami(self) -> WhoAmI:
        return self.transport.get("/whoami", WhoAmI)

    def server(self) -> Server:
        """What the server is and allows."""
        return self.transport.get("/", Server)

    def resolve(self, text: str) -> Resolved:
        """What an id of any door, or a reference, means; with the id by which each door knows it."""
        return pins.resolve(self.transport, text)

    # --- the nouns ----------------------------------------------------------------------------------------------------

    @cached_property
    def users(self) -> Users:
        return Users(self)

    @cached_property
    def teams(self) -> Teams:
        return Teams(self)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self)

    @cached_property
    def nodes(self) -> Nodes:
        return Nodes(self)

    @cached_property
    def licences(self) -> Licences:
        return Licences(self)

    @cached_property
    def projects(self) -> Projects:
        return Projects(self)

    @cached_property
    def collections(self) -> Collections:
        return Collections(self)

    @cached_property
    def datasets(self) -> Datasets:
        return Datasets(self)

    @cached_property
    def versions(self) -> Versions:
        return Versions(self)

    @cached_property
    def data(self) -> Data:
        return Data(self)

    @cached_property
    def records(self) -> Records:
        return Records(self)

    @cached_property
    def data_types(self) -> DataTypes:
        return DataTypes(self)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self)

    @cached_property
    def tasks(self) -> Tasks:
        return Tasks(self)

    @cached_property
    def relationships(self) -> Relationships:
        return Relationships(self)

    @cached_property
    def events(self) -> Events:
        return Events(self)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self)

    @cached_property
    def batches(self) -> Batches:
        return Batches(self)

    @cached_property
    def search(self) -> Search:
        return Search(self)

    # --- its end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
