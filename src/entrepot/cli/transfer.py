"""`entrepot push`, `pull`, `archive`: data up and down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import bars, output
from entrepot.cli.options import AsJson, Message, connected
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.client.pull import Pulled
    from entrepot.client.push import Pushed

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Direct = Annotated[
    bool, typer.Option("--direct", help="Large files straight to or from the server's bucket, where it has one.")
]


@app.command()
def push(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, or one file.")],
    target: Annotated[str, typer.Argument(metavar="THING", help="project/dataset[@version][/folder]")],
    message: Message = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave files that only the dataset has.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of a dataset that this push makes.")] = None,
    description: Annotated[str, typer.Option(help="Its description.")] = "",
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Push what symbolic links lead to.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would happen, and do nothing.")] = False,
    unpack: Annotated[bool, typer.Option("--unpack", help="PATH is an archive; its files are added.")] = False,
    direct: Direct = False,
    as_json: AsJson = False,
) -> None:
    """Make a dataset hold what a folder holds, as one new revision.

    Sends only bytes the server does not have: unchanged and renamed files stay where they are. A dataset that is not
    there yet is made; pushing to a frozen version starts the next one. Interrupted? Run it again: it goes on where it
    stopped. Files named in .entrepotignore are left out; symbolic links are not followed.

    \b
    Examples:
      entrepot push ./penguins lab/penguins -m "2009 season"
      entrepot push ./penguins lab/penguins --dry-run
      entrepot push ./new-photos lab/penguins/photos        only that folder of it
      entrepot push notes.md lab/penguins                    adds one file, keeps the rest
      entrepot push --unpack photos.tar.gz lab/photos        all files of an archive, or none
    """
    if unpack:
        if keep or dry_run or follow_links or message or direct:
            raise Invalid("--unpack goes with --name, --description and --json only.")
        _unpack(source, target, name, description, as_json)
        return
    with connected(direct=direct) as client, bars.shown(as_json) as on_progress:
        done = client.data.push(
            source,
            target,
            message=message,
            keep=keep,
            name=name,
            description=description,
            follow_links=follow_links,
            dry_run=dry_run,
            on_progress=on_progress,
        )
        _say_way(direct, client)
    for problem in done.skipped:
        output.note(f"skipped {problem.path}: {problem.reason}")
    for group in done.clashes:
        output.note(f"these differ by case only, and Windows and macOS can hold one of them: {', '.join(group)}")
    if as_json:
        output.emit(_pushed(done))
    else:
        _say_pushed(done, target)


def _say_way(direct: bool, client: Client) -> None:
    if direct and not client.transport.direct:
        output.note("the bucket could not be used from here, so bytes went by way of the server")


def _unpack(source: Path, target: str, name: str | None, description: str, as_json: bool) -> None:
    with connected() as client, bars.shown(as_json) as on_progress:
        made = client.data.unpack(source, target, name=name, description=description, on_progress=on_progress)
    clashes: list[list[str]] = (made.report or {}).get("case_clashes", [])
    for group in clashes:
        output.note(f"these differ by case only, and Windows and macOS can hold one of them: {', '.join(group)}")
    if as_json:
        output.emit({"version": made, "revision": made.revision, "files": made.entries, "clashes": clashes})
    else:
        output.line(
            f"Unpacked {source.name} into {made.project_slug}/{made.label}: {made.entries:,} files, "
            f"{output.size(made.size)}."
        )


def _pushed(done: Pushed) -> dict[str, Any]:
    plan = done.plan
    return {
        "version": done.version,
        "revision": None if done.version is None else done.version.revision,
        "changed": done.changed,
        "made": done.made,
        "dry_run": done.dry_run,
        "added": sorted(plan.added),
        "changed_paths": sorted(plan.changed),
        "renamed": plan.renamed,
        "removed": plan.removed,
        "unchanged": plan.unchanged,
        "sent": {"files": done.sent_files, "bytes": done.sent_bytes},
        "total": {"files": done.total_files, "bytes": done.total_bytes},
        "on_top_of": done.on_top_of,
        "skipped": done.skipped,
        "clashes": done.clashes,
        "ignored": done.ignored,
    }


def _say_pushed(done: Pushed, target: str) -> None:
    plan = done.plan
    label = f"{done.version.project_slug}/{done.version.label}" if done.version is not None else target
    if done.dry_run:
        for mark, paths in (("+", plan.added), ("~", plan.changed), ("-", plan.removed)):
            for path in sorted(paths):
                output.line(f"{mark} {path}")
        for new, old in plan.renamed.items():
            output.line(f"> {old} -> {new}")
    if not done.changed and done.made is None:
        output.line(f"{label} holds that already: {done.total_files:,} files, {output.size(done.total_bytes)}.")
        return
    counts = (("new", plan.added), ("changed", plan.changed), ("renamed", plan.renamed), ("removed", plan.removed))
    words = [f"{len(paths):,} {word}" for word, paths in counts if paths]
    words += [f"{plan.unchanged:,} as before"] if plan.unchanged else []
    sent = f"{'to send' if done.dry_run else 'sent'} {done.sent_files:,} files, {output.size(done.sent_bytes)}"
    start = "Would push" if done.dry_run else "Pushed"
    made = {"dataset": " (new dataset)", "version": " (new version)", None: ""}[done.made]
    output.line(f"{start} {label}{made}: {', '.join(words) or 'no files'}; {sent}.")
    if done.on_top_of:
        output.note(f"Somebody else had written {done.on_top_of:,} revisions meanwhile; yours is on top of theirs.")


@app.command()
def pull(
    thing: Annotated[
        str | None,
        typer.Argument(metavar="THING", help="project/dataset[@version[.revision]][/path]; with --locked not needed."),
    ] = None,
    into: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="By default a folder named after the dataset.")
    ] = None,
    lock: Annotated[bool, typer.Option("--lock", help="Write down in the lock file what was pulled.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Pull exactly what the lock file says, or fail.")] = False,
    lock_file: Annotated[Path, typer.Option(help="The lock file.")] = Path("entrepot.lock"),
    force: Annotated[bool, typer.Option("--force", help="Replace files that were edited here.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave files that an earlier pull put here and that are gone since.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every file again, also unchanged ones.")] = False,
    direct: Direct = False,
    as_json: AsJson = False,
) -> None:
    """Make a folder hold what a dataset holds; every file is checked against its digest.

    Goes on where an interrupted pull stopped. Never touches a file that somebody edited here (unless --force), never
    writes outside the folder.

    \b
    Examples:
      entrepot pull lab/penguins ./penguins
      entrepot pull lab/penguins@3.17/raw ./raw        a folder of a certain revision
      entrepot pull lab/penguins data/penguins --lock  and write entrepot.lock
      entrepot pull --locked                           all that entrepot.lock names, to the byte
    """
    if locked and lock:
        raise typer.BadParameter("--lock writes the lock file and --locked reads it; give one of them")
    if not locked and thing is None:
        raise typer.BadParameter("name what to pull, or give --locked")
    with connected(direct=direct) as client, bars.shown(as_json) as on_progress:
        if locked:
            wanted = None if thing is None else Path(thing).as_posix().removesuffix("/")
            found = client.data.download_locked(lock_file, into=wanted, force=force, on_progress=on_progress)
        else:
            assert thing is not None
            target = into or Path(_default_folder(thing, client))
            found = [
                client.data.download(
                    thing,
                    target,
                    force=force,
                    keep=keep,
                    verify=verify,
                    lock=lock_file if lock else None,
                    on_progress=on_progress,
                )
            ]
        _say_way(direct, client)
    for done in found:
        for path, local in done.renamed.items():
            output.note(f"{path} is called {local} here, because this system cannot hold its own name")
    if as_json:
        answers = [_pulled(done) for done in found]
        output.emit(answers if locked else answers[0])
        return
    for done in found:
        _say_pulled(done)


def _default_folder(thing: str, client: Any) -> str:
    from entrepot.client.pins import reference_of

    reference = reference_of(thing)
    if reference is not None:
        return reference.dataset
    slug: str = client.versions.get(thing).slug
    return slug


def _pulled(done: Pulled) -> dict[str, Any]:
    return {
        "reference": done.reference,
        "version": done.version,
        "revision": done.revision,
        "into": done.into,
        "fetched": {"files": done.fetched_files, "bytes": done.fetched_bytes},
        "total": {"files": done.total_files, "bytes": done.total_bytes},
        "removed": done.removed,
        "renamed": done.renamed,
    }


def _say_pulled(done: Pulled) -> None:
    fetched = f"fetched {done.fetched_files:,} files, {output.size(done.fetched_bytes)}"
    removed = f", removed {len(done.removed):,}" if done.removed else ""
    total = f"{done.total_files:,} files, {output.size(done.total_bytes)}"
    output.line(f"Pulled {done.reference} into {done.into}: {fetched}{removed}; it holds {total}, all verified.")


@app.command()
def archive(
    thing: Annotated[str, typer.Argument(metavar="THING", help="project/dataset[@version[.revision]][/folder]")],
    into: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .zip, .tar or .tar.gz.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a dataset, or a folder of it, as one file.

    \b
    Examples:
      entrepot archive lab/penguins@3 penguins.zip
      entrepot archive lab/penguins/raw raw.tar.gz
    """
    with connected() as client, bars.shown(as_json) as on_progress:
        made = client.data.archive(thing, into, on_progress=on_progress)
    if as_json:
        output.emit({"file": made, "size": made.stat().st_size})
    else:
        output.line(f"{made}: {output.size(made.stat().st_size)}")
