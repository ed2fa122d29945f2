"""`entrepot diff`, `restore`, `log`, `audit`: what was, and how it became what is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Message, connected
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.wire.messages.entries import DiffRow
    from entrepot.wire.messages.events import Event

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MARKS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="project/dataset@version.revision, or one to start from.")],
    new: Annotated[
        str | None, typer.Argument(metavar="NEW", help="What to compare with; the newest of the same if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which files were added (+), removed (-), changed (~) or renamed (>) between two revisions.

    With one argument that names no revision: what its newest revision changed.

    \b
    Examples:
      entrepot diff lab/penguins                        the last change
      entrepot diff lab/penguins@3.12                   from there until now
      entrepot diff lab/penguins@3.12 lab/penguins@3.17
      entrepot diff lab/penguins@2 lab/penguins@3       two versions
    """
    from entrepot.client.pins import pin, reference_of

    with connected() as client:
        start = pin(client.transport, old)
        first = start.revision
        if new is not None:
            end = pin(client.transport, new)
        else:
            end = pin(client.transport, start.version)
            reference = reference_of(old)
            named = reference is not None and reference.revision is not None
            if not named and first == end.revision:
                first = max(0, first - 1)
        other = None if end.version == start.version else start.version
        rows = list(client.versions.diff(end, first, end.revision, other=other))
    if as_json:
        output.emit(
            {
                "from": {"version": start.version, "revision": first},
                "to": {"version": end.version, "revision": end.revision},
                "rows": rows,
            }
        )
        return
    for row in rows:
        output.line(diff_line(row))
    if not rows:
        output.note("No difference.")


def diff_line(row: DiffRow) -> str:
    path = f"{row.old_path} -> {row.path}" if row.old_path else row.path
    sizes = ""
    if row.old is not None and row.new is not None and row.old.sha256 != row.new.sha256:
        sizes = f"  ({output.size(row.old.size)} -> {output.size(row.new.size)})"
    elif row.change == "changed":
        sizes = "  (its text)"
    elif row.change in ("added", "removed") and (entry := row.new or row.old) is not None:
        sizes = f"  ({output.size(entry.size)})"
    return f"{_MARKS[row.change]} {path}{sizes}"


@app.command()
def restore(
    thing: Annotated[str, typer.Argument(metavar="THING", help="project/dataset@version.revision")],
    message: Message = "",
    as_json: AsJson = False,
) -> None:
    """Make a new revision that holds what an old one held. Nothing in between is lost.

    \b
    Example:
      entrepot restore lab/penguins@3.12
    """
    from entrepot.client.pins import pin, reference_of

    reference = reference_of(thing)
    if reference is not None and reference.revision is None:
        raise Invalid(f"{thing!r} names no revision. Write it as in {thing}.12; `entrepot versions` lists them.")
    with connected() as client:
        target = pin(client.transport, thing)
        done = client.versions.restore(target.version, target.revision, message=message)
    if as_json:
        output.emit(done)
    else:
        label = f"{done.version.project_slug}/{done.version.label}"
        output.line(f"{label} holds what revision {target.revision} held: {done.revision.entries:,} files.")


@app.command()
def log(
    thing: Annotated[
        str | None, typer.Argument(metavar="THING", help="A version; everything you may see if left out.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most, newest first.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    verb: Annotated[str | None, typer.Option(help="Only events of this kind, such as revision.created.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only what happened since then.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what, when, through which door; newest first.

    \b
    Examples:
      entrepot log lab/penguins
      entrepot log --actor ada --since 2026-03-01
    """
    from itertools import islice

    if thing is not None and (actor or verb or since):
        raise Invalid("--actor, --verb and --since narrow the log of everything; with a version leave them out.")
    with connected() as client:
        moment = None if since is None else since.astimezone()
        found = client.events.list(version=thing, actor=actor, verb=verb, since=moment)
        output.lines(islice(found, limit), as_json, ["when", "who", "what", "door", "about"], _event_row)


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment(text: str) -> datetime:
    """A date, a time, or how long ago.

    Raises:
        Invalid: It is none of these.
    """
    if text[:-1].isdecimal() and text[-1] in _UNITS and len(text) < 8:
        return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise Invalid(f"--since {text!r} is no moment. Write 2026-01-31, 2026-01-31T12:00 or 7d.") from None


@app.command()
def audit(
    since: Annotated[str, typer.Option(help="From when on: a date, a time, or how long ago, as 90m, 12h, 7d or 4w.")],
    actor: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    verb: Annotated[str | None, typer.Option(help="Only events of this kind, such as token.created.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write out everything that happened since a moment, newest first: who, what, through which door and token.

    Unlike log it ends only where it was told to. Staff get all of it, others what happened in their projects.

    \b
    Examples:
      entrepot audit --since 7d
      entrepot audit --since 2026-01-01 --actor ada --json
    """
    moment = _moment(since)
    with connected() as client:
        found = client.events.list(actor=actor, verb=verb, since=moment)
        columns = ["when", "who", "what", "door", "token", "about"]
        output.lines(found, as_json, columns, _audit_row)


def _audit_row(event: Event) -> list[Any]:
    *first, about = _event_row(event)
    return [*first, event.token or "", about]


def _event_row(event: Event) -> list[Any]:
    about = event.subject or ""
    if event.revision is not None:
        about = f"{about} revision {event.revision}".strip()
    if not about and event.detail:
        about = ", ".join(f"{name} {value}" for name, value in event.detail.items())
    changed = [name for name in (event.after or {}) if (event.before or {}).get(name) != (event.after or {}).get(name)]
    if event.before is not None and changed:
        about = f"{about} {', '.join(changed)}".strip()
    return [event.at, event.actor, event.verb, event.door, about]
