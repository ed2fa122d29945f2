"""The SDK's clients of the daemon, one for each server and token; looked up anew for every piece of work.

So a login, a logout or a refreshed token counts at once, also for transfers that were accepted before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from entrepot.client import credentials
from entrepot.model.errors import Unauthenticated

if TYPE_CHECKING:
    from entrepot.client.client import Client

__all__ = ["Accounts"]

_NOBODY = "Nobody is logged in{at}. Run `entrepot login`{how}, then try again."


class Accounts:
    """Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Client] = {}

    def server(self) -> str:
        """The address of the server that is meant now, if somebody is logged in there.

        Raises:
            Unauthenticated: Nobody is, or no server is named.
        """
        return self._credential(None)[0]

    def client(self, server: str | None = None) -> Client:
        """The SDK for a server, as whoever is logged in there.

        Raises:
            Unauthenticated: Nobody is.
        """
        found = self._credential(server)
        # The SDK takes most of a second to load: not before there is something to ask.
        from entrepot.client.client import Client

        with self._lock:
            if found not in self._clients:
                # A token that was replaced stays usable for the transfers that have it in hand; few are ever made.
                self._clients[found] = Client(*found)
            return self._clients[found]

    def _credential(self, server: str | None) -> tuple[str, str]:
        url, token = server, None
        try:
            url, token = credentials.resolve(None, None)
        except Unauthenticated as error:
            if server is None:
                raise Unauthenticated(_NOBODY.format(at="", how=" --url URL")) from error
        if server is not None and url != server:
            # ENTREPOT_TOKEN belongs to the server that is meant now. A transfer of another one, left by an earlier
            # daemon, must not show it there.
            stored = credentials.Credentials().get(server)
            url, token = server, None if stored is None else stored.token
        assert url is not None
        if token is None:
            raise Unauthenticated(_NOBODY.format(at=f" at {url}", how=""))
        return url, token

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
