"""What the daemon does when it is asked: the methods of the socket protocol, each one call of the SDK or of the engine.

docs/daemon.md lists them with their parameters. Parameters are judged here, before anything is promised: an unknown one
is an error, because a misspelt option that is ignored would be found out after the transfer.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot._version import __version__
from entrepot.daemon import protocol, shapes
from entrepot.daemon.accounts import Accounts
from entrepot.daemon.counter import Counter
from entrepot.daemon.engine import Engine
from entrepot.daemon.journal import Journal, Transfer
from entrepot.daemon.limiter import Limiter
from entrepot.daemon.listener import Connection
from entrepot.daemon.params import Params
from entrepot.daemon.protocol import Unreadable
from entrepot.daemon.watching import Watcher
from entrepot.model.errors import Conflict, Invalid, NotFound, Unauthenticated, Unsupported

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.client.parallel import Stop

__all__ = ["Service"]

_MOST_CHUNK_MIB = 4096
_PAGE = 1000
_LONGEST_VERB = 255
#: Fields of `set_metadata`, and what they are called in a version's record.
_FIELDS = {"title": "name", "description": "description", "alias": "alias", "tags": "tags", "metadata": "custom"}


class Service:
    """Everything behind the socket.

    Args:
        stop: Ends the process in order.
    """

    def __init__(
        self, socket: Path, journal: Journal, accounts: Accounts, stop: Callable[[], None], *, slots: int | None = None
    ) -> None:
        self._socket = socket
        self._journal = journal
        self._accounts = accounts
        self._stop = stop
        self._began = time.time()
        rate = journal.setting("rate")
        self.engine = Engine(journal, self._carry_out, self._withdraw, limiter=Limiter(rate))
        if slots is not None:
            self.engine.slots = slots
        self.watcher = Watcher(journal, accounts, self.engine.limiter)
        self._methods: dict[str, Callable[[Connection, Params], Any]] = {
            "ping": self._ping,
            "auth_status": self._auth_status,
            "create_project": self._create_project,
            "upload": self._upload,
            "download": self._download,
            "get_metadata": self._get_metadata,
            "set_metadata": self._set_metadata,
            "create_relationship": self._create_relationship,
            "transfer": self._transfer,
            "subscribe": self._subscribe,
            "files": self._files,
            "status": self._status,
            "pause": self._pause,
            "resume": self._resume,
            "cancel": self._cancel,
            "prioritise": self._prioritise,
            "limit": self._limit,
            "watch": self._watch,
            "unwatch": self._unwatch,
            "watches": self._watches,
            "shutdown": self._shutdown,
        }

    # --- the socket's side --------------------------------------------------------------------------------------------

    def answer(self, connection: Connection, method: str, given: dict[str, Any]) -> Any:
        """The result of a request. Runs in a thread of its own.

        Raises:
            EntrepotError: What went wrong, for the caller.
            Unreadable: The method does not exist.
        """
        params = Params(method, given)
        if method == "hello":
            return self._hello(connection, params)
        if not connection.greeted:
            raise Invalid("Say hello first, with the protocol you speak.")
        found = self._methods.get(method)
        if found is None:
            raise Unreadable(protocol.NO_METHOD, f"There is no method {method[:100]!r}. docs/daemon.md lists them.")
        try:
            return found(connection, params)
        except Unauthenticated as error:
            raise _with_advice(error) from error

    def gone(self, connection: Connection) -> None:
        self.engine.leave(connection)

    def _hello(self, connection: Connection, params: Params) -> dict[str, Any]:
        wanted = params.maybe_whole("protocol", 0, 1 << 31)
        client = params.maybe_text("client")
        params.end()
        if wanted != protocol.PROTOCOL:
            raise Unsupported(
                f"This daemon speaks protocol {protocol.PROTOCOL}, not {wanted}. After an update, run `entrepot daemon "
                "stop`, or update the client.",
                details={"protocols": [protocol.PROTOCOL]},
            )
        if client:
            connection.client = client[:200]
        connection.greeted = True
        return {
            "protocol": protocol.PROTOCOL,
            "release": __version__,
            "pid": os.getpid(),
            "socket": str(self._socket),
            "started_at": shapes.when(datetime.fromtimestamp(self._began, UTC)),
        }

    def _ping(self, _: Connection, params: Params) -> dict[str, Any]:
        params.end()
        return {}

    def _shutdown(self, _: Connection, params: Params) -> dict[str, Any]:
        params.end()
        # The answer goes out first.
        threading.Timer(0.05, self._stop).start()
        return {"pid": os.getpid(), "unfinished": self._journal.unfinished()}

    # --- who and what -------------------------------------------------------------------------------------------------

    def _auth_status(self, _: Connection, params: Params) -> dict[str, Any]:
        params.end()
        client = self._accounts.client()
        found = client.whoami()
        if found.user is None:
            raise Unauthenticated(f"The login at {client.url} is not valid any more. Run `entrepot login`.")
        return {
            "user_email": found.user.email,
            "user_name": found.user.name,
            "user_id": found.user.id,
            "expires_at": None if found.token is None else shapes.when(found.token.expires_at),
            "scope": found.scope.value,
            "server": client.url,
        }

    def _create_project(self, _: Connection, params: Params) -> dict[str, Any]:
        name, description = params.text("name"), params.maybe_text("description") or ""
        params.end()
        return shapes.project(self._accounts.client().projects.create(name, description=description))

    def _asset(self, asset_id: str) -> tuple[Client, Any]:
        from entrepot.daemon.uploading import record_of

        client = self._accounts.client()
        return client, record_of(client, asset_id)

    def _get_metadata(self, _: Connection, params: Params) -> dict[str, Any]:
        asset_id = params.text("asset_id")
        params.end()
        return shapes.asset(self._asset(asset_id)[1])

    def _set_metadata(self, _: Connection, params: Params) -> dict[str, Any]:
        asset_id, fields = params.text("asset_id"), params.maybe_object("fields") or {}
        params.end()
        if unknown := sorted(fields.keys() - _FIELDS.keys()):
            raise Invalid(f"An asset's metadata has no field {unknown[0]!r}; it has {', '.join(_FIELDS)}.")
        given = Params("set_metadata", fields)
        changes: dict[str, Any] = {}
        if given.has("title"):
            changes |= {"name": given.text("title"), "numbering": "keep_else_next"}
        if given.has("description"):
            changes["description"] = given.maybe_text("description") or ""
        if given.has("alias"):
            changes["alias"] = given.maybe_text("alias") or None
        if given.has("tags"):
            changes["tags"] = given.maybe_texts("tags") or []
        if given.has("metadata"):
            changes["custom"] = given.maybe_object("metadata") or {}
        client, record = self._asset(asset_id)
        if changes.get("name") == record.name:
            # Its own name is no move, and has no number to keep.
            del changes["name"], changes["numbering"]
        return shapes.asset(client.versions.update(record.id, **changes) if changes else record)

    def _create_relationship(self, _: Connection, params: Params) -> dict[str, Any]:
        source, target, verb = (params.text(name) for name in ("from_asset_id", "to_asset_id", "rel_type"))
        mode, note, at = (params.maybe_text(name) for name in ("analysis_mode", "qualifier_note", "qualifier_time"))
        qualifiers = params.maybe_object("qualifiers")
        params.end()
        if len(verb) > _LONGEST_VERB:
            raise Invalid(f"rel_type has at most {_LONGEST_VERB} characters, not {len(verb)}.")
        moment = None if at is None else _moment(at)
        client, one = self._asset(source)
        other = self._asset(target)[1]
        made = client.relationships.create(
            one.id,
            other.id,
            verb,
            mode=mode,
            note=note,
            at=moment,
            qualifiers=qualifiers,
            source_revision=one.revision,
            target_revision=other.revision,
        )
        return shapes.relationship(made, one.id, other.id)

    # --- transfers ----------------------------------------------------------------------------------------------------

    def _upload(self, connection: Connection, params: Params) -> dict[str, Any]:
        from entrepot.model import names

        path = params.path("local_path")
        wish: dict[str, Any] = {
            "path": str(path),
            "title": names.dataset_name(params.text("title")),
            "owner_type": params.text("owner_type"),
            "owner_id": params.text("owner_id"),
            "description": params.maybe_text("description"),
            "alias": params.maybe_text("alias") or None,
            "tags": params.maybe_texts("tags"),
            "metadata": params.maybe_object("metadata"),
            "collection": params.maybe_text("collection_id"),
            "chunk": _chunk(params),
        }
        if wish["owner_type"] not in ("project", "user"):
            raise Invalid(f"owner_type is project or user, not {wish['owner_type']!r}.")
        # What the server would refuse after the last byte is refused before the first one.
        if wish["alias"] is not None:
            names.alias(wish["alias"])
        if wish["tags"] is not None:
            names.tags(wish["tags"])
        try:
            size = 0 if path.is_dir() else path.stat().st_size
            if path.is_file():
                names.entry_path(path.name)
                with path.open("rb"):
                    pass
            elif not path.is_dir():
                raise Invalid(f"{str(path)!r} is neither a file nor a folder.")
        except FileNotFoundError:
            raise NotFound(f"There is no file {str(path)!r}. Check the path.") from None
        except OSError as error:
            raise Invalid(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
        shown = path.name.encode("utf-8", "backslashreplace").decode()
        return self._accept(connection, params, "upload", wish, shown, size)

    def _download(self, connection: Connection, params: Params) -> dict[str, Any]:
        asset_id, into = params.text("asset_id"), params.path("dest_dir")
        wish = {"asset_id": asset_id, "into": str(into), "chunk": _chunk(params)}
        try:
            if os.path.lexists(into) and not into.is_dir():
                raise Conflict(f"{str(into)!r} is a file; a download goes into a folder.")
        except OSError as error:
            raise Invalid(f"{str(into)!r} cannot be written: {error.strerror or error}.") from error
        return self._accept(connection, params, "download", wish, "", 0)

    def _accept(
        self, connection: Connection, params: Params, kind: str, wish: dict[str, Any], file_name: str, size: int
    ) -> dict[str, Any]:
        key, priority = params.maybe_text("key"), params.maybe_whole("priority", -100, 100) or 0
        listens = params.maybe_flag("subscribe")
        params.end()
        found = self.engine.accept(
            kind,
            wish,
            client=connection.client,
            server=self._accounts.server(),
            file_name=file_name,
            key=key,
            priority=priority,
            bytes_total=size,
        )
        if listens is not False:
            self.engine.listen(found.id, connection, _to(connection))
        return self._shown(found)

    def _transfer(self, _: Connection, params: Params) -> dict[str, Any]:
        found = self._journal.get(params.text("transfer_id"))
        params.end()
        return self._shown(found)

    def _subscribe(self, connection: Connection, params: Params) -> dict[str, Any]:
        transfer_id = params.text("transfer_id")
        params.end()
        self.engine.listen(transfer_id, connection, _to(connection))
        return self._shown(self._journal.get(transfer_id))

    def _files(self, _: Connection, params: Params) -> dict[str, Any]:
        transfer = self._journal.get(params.text("transfer_id"))
        start = params.maybe_whole("start", 0, 1 << 40) or 0
        params.end()
        rows = self._journal.files(transfer.id, start, _PAGE + 1) if transfer.state == "done" else []
        shown = [
            {"local_path": place, "path": path, "size": size, "sha256": digest}
            for place, path, size, digest in rows[:_PAGE]
        ]
        return {"files": shown, "next": start + _PAGE if len(rows) > _PAGE else None}

    def _status(self, _: Connection, params: Params) -> dict[str, Any]:
        count = params.maybe_whole("ended", 0, 5000)
        params.end()
        rows = [self._shown(one) for one in self._journal.transfers(ended=100 if count is None else count)]
        return {
            "active": self.engine.active,
            "transfers": rows,
            "limit_bps": self.engine.limiter.rate,
            "pid": os.getpid(),
            "socket": str(self._socket),
            "release": __version__,
        }

    def _shown(self, one: Transfer) -> dict[str, Any]:
        return shapes.transfer(one, self.engine.shown(one.id))

    def _pause(self, _: Connection, params: Params) -> dict[str, Any]:
        return self._shown(self.engine.pause(_id(params)))

    def _resume(self, _: Connection, params: Params) -> dict[str, Any]:
        return self._shown(self.engine.resume(_id(params)))

    def _cancel(self, _: Connection, params: Params) -> dict[str, Any]:
        return self._shown(self.engine.cancel(_id(params)))

    def _prioritise(self, _: Connection, params: Params) -> dict[str, Any]:
        transfer_id, priority = params.text("transfer_id"), params.maybe_whole("priority", -100, 100)
        params.end()
        if priority is None:
            raise Invalid("prioritise needs priority, a whole number from -100 to 100.")
        return self._shown(self.engine.prioritise(transfer_id, priority))

    def _limit(self, _: Connection, params: Params) -> dict[str, Any]:
        rate = params.maybe_number("rate_bps")
        params.end()
        self.set_rate(rate)
        return {"limit_bps": rate}

    def _watch(self, _: Connection, params: Params) -> dict[str, Any]:
        folder, target = params.path("folder"), params.text("to")
        settle_s = params.maybe_number("settle_s")
        params.end()
        return self.watcher.add(folder, target, settle_s)

    def _unwatch(self, _: Connection, params: Params) -> dict[str, Any]:
        found = params.text("watch")
        params.end()
        return self.watcher.remove(found)

    def _watches(self, _: Connection, params: Params) -> dict[str, Any]:
        params.end()
        return {"watches": self.watcher.shown()}

    def forget_old(self) -> None:
        """Let go of what ended long ago."""
        self._journal.forget_old()

    def set_rate(self, rate: float | None) -> None:
        """Bound all transfers together, from now on and for the daemons after this one."""
        if rate is not None and rate < 1024:
            raise Invalid(f"A limit is at least 1024 bytes a second, not {rate:g}; null takes it away.")
        self._journal.set("rate", rate)
        self.engine.limiter.rate = rate

    def _carry_out(self, transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        client = self._accounts.client(transfer.server)
        if transfer.kind == "upload":
            from entrepot.daemon.uploading import upload

            return upload(self._journal, client, transfer, counter, stop)
        from entrepot.daemon.downloading import download

        return download(self._journal, client, transfer, counter, stop)

    def _withdraw(self, transfer: Transfer) -> None:
        if transfer.facts.get("version") is not None:
            from entrepot.daemon.uploading import withdraw

            withdraw(self._accounts.client(transfer.server), transfer)


def _to(connection: Connection) -> Callable[[str, dict[str, Any], bool], None]:
    def tell(method: str, params: dict[str, Any], droppable: bool) -> None:
        connection.tell(method, params, droppable=droppable)

    return tell


def _with_advice(error: Unauthenticated) -> Unauthenticated:
    """The server knows of tokens and not of commands; whoever reads this has one to run."""
    if "entrepot login" in error.message:
        return error
    return type(error)(f"{error.message.rstrip('. ')}. Run `entrepot login`, then try again.", details=error.details)


def _id(params: Params) -> str:
    found = params.text("transfer_id")
    params.end()
    return found


def _chunk(params: Params) -> int | None:
    size = params.maybe_whole("chunk_size_mb", 1, _MOST_CHUNK_MIB)
    return None if size is None else size << 20


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"qualifier_time is an ISO-8601 time, such as 2026-05-01T12:00:00Z, not {text[:50]!r}.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
