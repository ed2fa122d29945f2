"""Records: files of newline-delimited JSON that are checked line by line, and their items."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict, TypeVar, Unpack

from entrepot.client.pins import Pin, Thing, pin
from entrepot.client.resources.base import Resource
from entrepot.client.statcache import stat_of
from entrepot.client.tree import LocalFile, read_blocks
from entrepot.model import names
from entrepot.model.errors import Invalid, InvalidName, KindMismatch, NotFound, Unavailable
from entrepot.model.values import Kind, State, TaskState, Visibility
from entrepot.wire.messages.base import Answer
from entrepot.wire.messages.records import Item, ItemDiff, ItemPage, RecordsPage, Rejects, Statistics
from entrepot.wire.messages.slots import NewSlot
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.versions import ConvertVersion, Version
from entrepot.wire.problem import from_problem

__all__ = ["Deleted", "NewRecordsFields", "Page", "Records"]

#: Datasets of a page, unless told otherwise.
_PAGE = 1000
#: Items that are fetched at a time.
_ITEMS = 1000
#: The status of an answer that is a task.
_BEGUN = 202
#: What the name of a file says about what to write into it.
_FORMATS = {".csv": "csv", ".arrow": "arrow", ".feather": "arrow", ".parquet": "parquet"}

OnTask = Callable[[Task], None]
A = TypeVar("A", bound=Answer)


class NewRecordsFields(TypedDict, total=False):
    """What new records can be given besides name and file."""

    project: str
    description: str
    licence: str
    visibility: Visibility
    tags: builtins.list[str]
    custom: dict[str, Any]
    alias: str
    collection: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A page of datasets; its fields can be had by name and, as `page["next_page"]`, by key.

    Args:
        next_page: To be given as `{"page": …}` for what follows; None at the end.
        prev_page: Likewise for what comes before; also `previous_page`.
    """

    next_page: str | None
    prev_page: str | None
    data: builtins.list[Version]

    @property
    def previous_page(self) -> str | None:
        return self.prev_page

    def __getitem__(self, key: str) -> Any:
        if key not in ("next_page", "prev_page", "previous_page", "data"):
            raise KeyError(key)
        return getattr(self, key)


@dataclass(frozen=True, slots=True)
class Deleted:
    """That a dataset is in the trash now."""

    id: str
    deleted: bool = True


class Records(Resource):
    """Datasets of lines, each a JSON object."""

    # --- datasets -----------------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        path: str | Path,
        *,
        schema: Mapping[str, Any] | None = None,
        lines: str | None = None,
        **fields: Unpack[NewRecordsFields],
    ) -> Version:
        """Make a dataset, or the next version of it, of an NDJSON file: send the file and start its check.

        A file that is called `.csv`, `.tsv`, `.parquet` or `.arrow` is a table: each row becomes a line.

        Does not wait for the check: `wait_until_done` does. A repeat after a broken connection sends the file again.

        Args:
            schema: A JSON Schema that every line has to fit.
            lines: The name of a kind of line instead, such as `image`.

        Raises:
            NotFound: There is no such file.
            Invalid: The schema cannot be used.
            SourceChanged: The file changed while it was sent.
        """
        given: dict[str, Any] = {**fields}
        if (declared := _declared(schema, lines)) is not None:
            given["declared"] = declared
        file = _local(Path(path))
        made = self._client.versions.create(
            name,
            kind=Kind.RECORDS,
            numbering="next",
            slots=[NewSlot(file_name=file.path, length=file.size)],
            **given,
        )
        (slot,) = made.slots
        if slot.url is None:
            raise Unavailable(f"{made.name} takes no file, although it was made a moment ago. Make it again.")
        headers = {**slot.headers, "Content-Length": str(file.size)}
        self._transport.put_url(slot.url, lambda: read_blocks(file, 0, file.size), headers)
        self._client.versions.ingest(made)
        return self._client.versions.get(made)

    def from_table(
        self,
        thing: Thing,
        name: str,
        *,
        path: str | None = None,
        project: str | None = None,
        schema: Mapping[str, Any] | None = None,
        lines: str | None = None,
        description: str = "",
    ) -> Version:
        """Make records of the tables that a version holds: a line for each row, a key for each column.

        A table on this machine needs no version: `create` takes it as it is. Does not wait: `wait_until_done` does.

        Args:
            thing: A version with CSV, TSV, Parquet, Arrow or NDJSON files.
            path: One of its files; all otherwise.
            project: Where the records are made; where `thing` is otherwise.
            schema, lines: As for `create`.
        """
        declared = _declared(schema, lines)
        return self._converted(thing, name, "records", path, project, declared, description)

    def to_table(self, thing: Thing, name: str, *, project: str | None = None, description: str = "") -> Version:
        """Make a table of records, which the server checks and types as any other; the other way is `from_table`.

        Raises:
            Unsupported: This server keeps no tables. `export` writes them into files.
        """
        return self._converted(thing, name, "table", None, project, None, description)

    def _converted(
        self,
        thing: Thing,
        name: str,
        kind: Literal["records", "table"],
        path: str | None,
        project: str | None,
        declared: Mapping[str, Any] | None,
        description: str,
    ) -> Version:
        target = self._pinned(thing)
        wish = ConvertVersion(
            name=name,
            kind=kind,
            path=path,
            project=project,
            revision=target.revision,
            declared=declared,
            description=description,
        )
        return self._transport.post(self._version(target, "/convert"), Version, wish)

    def list(
        self,
        pagination: Mapping[str, Any] | None = None,
        *,
        show_expired: bool = False,
        project: str | None = None,
    ) -> Page:
        """One page of the records that the caller may see, newest first.

        Going on and back shows the same rows, also while others make more.

        Args:
            pagination: `limit` (1000 by default) and `page`, a page's `next_page` or `prev_page`.
            show_expired: Also those whose time is over, which are in the trash.
        """
        wish = dict(pagination or {})
        limit, page = wish.pop("limit", None), wish.pop("page", None)
        if wish:
            raise Invalid(f"A page has a limit and a page, no {', '.join(map(str, wish))}.")
        asked = {
            "project": project,
            "limit": _PAGE if limit is None else limit,
            "cursor": page,
            "show_expired": show_expired or None,
        }
        found = self._transport.get("/records", RecordsPage, asked)
        return Page(found.next, found.previous, found.rows)

    def get(self, thing: Thing) -> Version:
        """Its record: state, report of the check, number of items, expiry.

        Raises:
            KindMismatch: It is something else than records.
        """
        found = self._client.versions.get(thing)
        if found.kind is not Kind.RECORDS:
            raise KindMismatch(f"{found.name} holds {found.kind.value}, not records.")
        return found

    def delete(self, thing: Thing) -> Deleted:
        """Put it into the trash, from where `client.versions.reinstate` brings it back."""
        return Deleted(self._client.versions.trash(self.get(thing)).id)

    def wait_until_done(self, thing: Thing, interval: float = 5, timeout: float | None = 36_000) -> Version:
        """The record once every line was found good and published.

        Args:
            interval: Seconds between two questions at most.
            timeout: Seconds in all; None waits for ever.

        Raises:
            Invalid: Lines are bad, or the file did not come; the message names the first, `errors` more of them.
            Unavailable: Neither within `timeout`. The check goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        identity = self._version_id(thing)
        pause = min(0.1, interval)
        while True:
            found = self.get(identity)
            if found.state is State.READY:
                return found
            if found.state is State.FAILED:
                report = found.report or {}
                raise Invalid(str(report.get("message", "The check failed.")), errors=report.get("errors", ()))
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Unavailable(f"{found.name} is still {found.state.value} after {timeout:g} s. Wait for it again.")
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, interval)

    def rejects(self, thing: Thing) -> Rejects:
        """The bad lines of the newest check: number, place and reason."""
        return self._transport.get(self._version(thing, "/rejects"), Rejects)

    # --- items --------------------------------------------------------------------------------------------------------

    def items(self, thing: Thing, *, first: int = 0, where: str | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a revision, fetched as it is needed; of the newest unless the reference names another.

        Args:
            first: The number of the first, from 0.
            where: Only those that fit, as in `label.name == "cat" and score > 0.5`.
        """
        for page in self.item_pages(thing, first=first, where=where):
            yield from (row.item for row in page.rows)

    def item_pages(
        self, thing: Thing, *, first: int = 0, where: str | None = None, limit: int = _ITEMS
    ) -> Iterator[ItemPage]:
        """The same page by page, with the number of each item."""
        target = self._pinned(thing)
        following: int | None = first
        while following is not None:
            asked = {"first": following, "where": where, "limit": limit, "revision": target.revision}
            page = self._transport.get(self._version(target, "/items"), ItemPage, asked)
            yield page
            following = page.next

    def item(self, thing: Thing, n: int) -> dict[str, Any]:
        """Item `n`, from 0; as quick at the end as at the beginning.

        Raises:
            NotFound: There are not so many.
        """
        if n < 0:
            raise NotFound(f"Items are numbered from 0; there is no item {n}.")
        target = self._pinned(thing)
        return self._transport.get(self._version(target, f"/items/{n}"), Item, {"revision": target.revision}).item

    def sample(self, thing: Thing, count: int = 10, *, seed: int = 0) -> builtins.list[Item]:
        """Different items drawn at random; the same seed draws the same ones."""
        target = self._pinned(thing)
        asked = {"count": count, "seed": seed, "revision": target.revision}
        return self._transport.get(self._version(target, "/records/sample"), ItemPage, asked).rows

    def statistics(
        self, thing: Thing, *, most: int = 10_000, seed: int = 0, on_progress: OnTask | None = None
    ) -> Statistics:
        """Which keys items have, how often, of which types; of more than `most` items a sample is looked at.

        Args:
            on_progress: Told how far it is, when so much has to be read that the server makes it a task.
        """
        target = self._pinned(thing)
        asked = {"most": most, "seed": seed, "revision": target.revision}
        return self._found_out(target, "/records/statistics", asked, Statistics, on_progress)

    def diff(
        self, thing: Thing, by: str, *, base: Thing | int | None = None, on_progress: OnTask | None = None
    ) -> ItemDiff:
        """Items that were added, removed or changed.

        Args:
            by: The path of the key that tells items apart, such as `id`.
            base: What to compare with: a revision of the same version (the one before by default), or another version.
            on_progress: Told how far it is, when so much has to be read that the server makes it a task.

        Raises:
            Invalid: Items have no such key, or the same one.
        """
        target = self._pinned(thing)
        asked: dict[str, Any] = {"by": by, "revision": target.revision}
        if isinstance(base, int):
            asked["base"] = base
        elif base is not None:
            other = pin(self._transport, base)
            asked |= {"base_version": other.version, "base": other.revision}
        return self._found_out(target, "/records/diff", asked, ItemDiff, on_progress)

    def _found_out(self, target: Pin, what: str, asked: Mapping[str, Any], form: type[A], told: OnTask | None) -> A:
        """The answer to a question, or what came of the task that it takes."""
        answer = self._transport.send("GET", self._version(target, what), params=asked)
        if answer.status_code != _BEGUN:
            return form.model_validate_json(answer.content)
        done = self._ended(Task.model_validate_json(answer.content), told)
        return form.model_validate({"version": target.version, **(done.result or {})})

    def _ended(self, task: Task, told: OnTask | None) -> Task:
        done = self._client.tasks.wait(task, on_progress=told)
        if done.state is not TaskState.DONE:
            raise from_problem({"detail": f"Task {done.id} was {done.state.value}.", **(done.error or {})})
        return done

    def export(
        self,
        thing: Thing,
        path: str | Path,
        *,
        format: Literal["csv", "ndjson", "arrow", "parquet"] | None = None,
        on_progress: OnTask | None = None,
    ) -> int:
        """Write all items into a new file, as a table or as lines; answers its size in bytes.

        Args:
            format: That which the name of the file says by default: `.csv`, `.arrow`, `.parquet`; else lines.
            on_progress: Told how far it is, while the server makes the table.

        Raises:
            FileExistsError: There is such a file.
            Invalid: The items make no table.
        """
        place = Path(path)
        target = self._pinned(thing)
        asked = {"format": format or _FORMATS.get(place.suffix.lower(), "ndjson"), "revision": target.revision}
        address = self._version(target, "/records/export")
        with place.open("xb") as file:
            try:
                size = self._fetch(address, asked, file)
                if isinstance(size, Task):
                    self._ended(size, on_progress)
                    size = self._fetch(address, asked, file)
                if isinstance(size, Task):
                    raise Unavailable(f"The table of {target.version} was made and is gone again. Ask once more.")
            except BaseException:
                file.close()
                place.unlink()
                raise
        return size

    def _fetch(self, address: str, asked: Mapping[str, Any], file: BinaryIO) -> int | Task:
        with self._transport.stream("GET", address, params=asked) as answer:
            if answer.status_code == _BEGUN:
                return Task.model_validate_json(b"".join(answer.iter_bytes()))
            return sum(file.write(block) for block in answer.iter_bytes())

    def _pinned(self, thing: Thing) -> Pin:
        if isinstance(thing, Version) and thing.revision == 0:
            # As it was before its check was done: what is meant is what came of it.
            thing = self.get(thing)
        return pin(self._transport, thing)


def _declared(schema: Mapping[str, Any] | None, lines: str | None) -> dict[str, Any] | None:
    if schema is not None and lines is not None:
        raise Invalid("Give a schema or a kind of lines, not both.")
    if schema is not None:
        return {"schema": dict(schema)}
    return None if lines is None else {"lines": lines}


def _local(path: Path) -> LocalFile:
    """The file in the state it is in now, under a name that a version can hold."""
    try:
        seen = stat_of(path.stat())
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    try:
        name = names.file_name(path.name)
    except InvalidName:
        name = "records.ndjson"
    return LocalFile(name, path, seen)
