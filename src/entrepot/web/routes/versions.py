"""A version of a dataset: what it is, how it came to be, what changed, and how it is used elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from entrepot.depot import checking, entries, history, licences, reports, tasks, versions
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.data_types import Standing
from entrepot.model.errors import Corrupt, EntrepotError, EntryNotFound, NotFound
from entrepot.model.references import parse_reference
from entrepot.model.values import TaskState, Version
from entrepot.web import activity, links, snippets
from entrepot.web.about import about, key
from entrepot.web.context import Asked
from entrepot.web.previews import HEAD
from entrepot.web.routes.editing import weighed

_READMES = ("README.md", "readme.md", "Readme.md", "README.markdown", "README.txt", "README", "README.rst")
_DAMAGED_README = {"damaged": True, "text": "", "markdown": False, "whole": True}
_FILES = 15
#: Of more files the reports are not gone through for the first page, which must not take seconds.
_FEW = 500
#: Nor are their digests asked for: that reads a row of each file.
_SOME = 10_000
_REVISIONS = 50
_CHANGES = 500
_EVENTS = 20


async def show(asked: Asked) -> None:
    """What a version is."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted)
        version: Version = given["v"]
        readable = given["can_read"]
        return given | {
            "readme": _readme(depot, actor, version) if readable else None,
            "folder": entries.list_folder(depot, actor, version.n, limit=_FILES)[2] if readable else None,
            "examined": _examined(depot, actor, version) if readable and version.n_entries <= _FEW else None,
            "integrity": _or_none(lambda: checking.of_version(depot, actor, version.n)[2])
            if readable and version.n_entries <= _SOME
            else None,
            "licence": _or_none(lambda: licences.get(depot, actor, version.licence)),
            "attempts": history.ingests_of(depot, actor, version.n) if given["can_edit"] else (),
            "running": _running(depot, actor, version),
            "cite": snippets.citation(version, asked.base_url),
            **(weighed(depot, actor, version.uid) if given["can_purge"] else {"frees": None, "frees_known": True}),
        }

    await asked.page("version.html", work, public=True)


def _or_none(work: Callable[[], Any]) -> Any:
    """What somebody may not see of a thing that they may see is left out."""
    try:
        return work()
    except EntrepotError:
        return None


def _running(depot: Depot, actor: Actor, version: Version) -> Any:
    if actor.is_anonymous:
        return ()
    return tasks.list_tasks(depot, actor, version=version.n, states=(TaskState.READY, TaskState.RUNNING), limit=5).rows


def _readme(depot: Depot, actor: Actor, version: Version) -> dict[str, Any] | None:
    """The text in which its makers say what it is."""
    for path in _READMES:
        try:
            opened = entries.open_entry(depot, actor, version.n, path)
        except EntryNotFound:
            continue
        except Corrupt:
            return _DAMAGED_README | {"path": path}
        try:
            body = opened.reader.read_at(0, min(opened.entry.size, HEAD))
        except Corrupt:
            return _DAMAGED_README | {"path": path}
        finally:
            opened.reader.close()
        if b"\0" in body:
            return None
        return {
            "path": path,
            "damaged": False,
            "text": body.decode("utf-8", errors="replace"),
            "markdown": path.lower().endswith((".md", ".markdown")),
            "whole": opened.entry.size <= HEAD,
        }
    return None


def _examined(depot: Depot, actor: Actor, version: Version) -> dict[str, Any]:
    """What was found in its files: those that are not as their type has it, and the facts of a single one."""
    bad = reports.list_reports(depot, actor, version.n, standings=(Standing.BAD,), limit=10)[2]
    facts: Any = {}
    if version.n_entries == 1:
        (only,) = reports.list_reports(depot, actor, version.n, limit=1)[2].rows or (None,)
        facts = {} if only is None or only.report is None else only.report.facts
    return {"bad": bad.rows, "more": bad.cursor is not None, "facts": facts}


async def show_history(asked: Asked) -> None:
    """Versions and revisions, and what happened to this one, newest first."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "history")
        version: Version = given["v"]
        readable = given["can_read"]
        events = history.version_events(depot, actor, version.n, limit=_EVENTS).rows if given["can_see_project"] else ()
        return given | {
            "page": history.revisions(depot, actor, version.n, cursor=asked.text("cursor"), limit=_REVISIONS)[1]
            if readable
            else None,
            "lines": activity.lines(depot, actor, events),
        }

    await asked.page("history.html", work, public=True)


async def show_diff(asked: Asked) -> None:
    """What changed between two revisions, or between a revision of another version and one of this."""
    wanted = key(asked.found["version"])
    older, newer = asked.number("from"), asked.number("to")
    other = asked.text("other")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "history")
        version: Version = given["v"]
        to = version.revision if newer is None else newer
        source = version.uid if other is None else key(other)
        since = max(0, to - 1) if older is None and other is None else older
        before = version if other is None else versions.get(depot, actor, source).version
        page = history.diff_page(
            depot, actor, (source, since), (version.uid, to), cursor=asked.text("cursor"), limit=_CHANGES
        )
        return given | {
            "page": page,
            "going_on": asked.text("cursor") is not None,
            "since": before.revision if since is None else since,
            "until": to,
            "before": before,
            "other": other,
            "more_url": links.version(version, "diff", **{"from": since, "to": to, "other": other}),
        }

    await asked.page("diff.html", work, public=True)


async def show_use(asked: Asked) -> None:
    """Lines to copy for every client that can reach this version."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "use")
        version: Version = given["v"]
        first = entries.list_entries(depot, actor, version.n, limit=1)[2].rows if given["can_read"] else ()
        return given | {
            "groups": snippets.groups(version, first[0] if first else None, asked.base_url, asked.context.doors),
            "all_ids": snippets.ids_of(version),
            "cite": snippets.citation(version, asked.base_url),
        }

    await asked.page("use.html", work, public=True)


async def by_name(asked: Asked) -> None:
    """The page of `project/dataset`, `project/dataset@3` or `project/dataset@3.17`: names people write."""
    text = f"{asked.found['project']}/{asked.found['dataset']}"

    def work(depot: Depot, actor: Actor) -> str:
        reference = parse_reference(text)
        found, revision = versions.resolve(depot, actor, reference)
        if revision != found.version.revision:
            return links.version(found.version, "files", revision=revision)
        return links.version(found.version)

    try:
        path = await asked.call(work)
    except EntrepotError as wrong:
        raise NotFound(f"There is no {text[:200]}, or you may not see it.") from wrong
    await asked.go(path)
