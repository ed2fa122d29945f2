"""`entrepot backup` and `entrepot restore-backup`: the whole of a server to another disk, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from entrepot.cli import bars, output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson
from entrepot.cli.serve import server_commands
from entrepot.client.progress import Progress

app = typer.Typer(name="backups", rich_markup_mode=None, add_completion=False)

_SHOWN = 20

Data = Annotated[
    Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
]


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="Where backups are kept; best on another disk.")],
    data: Data = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Remove all but the newest N backups of this folder.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Only say which backups are there.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read all that is there, and compare.")] = False,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Copy everything to another folder while the server runs: facts of one moment, and all bytes that they need.

    A later backup into the same folder copies only what is new. All bytes are compared with their digests on the way;
    what is damaged here is named, and the exit code is 6. The folder also gets the key that signs links: whoever can
    read it can read everything.

    \b
    Examples:
      entrepot backup /mnt/backup/entrepot --data ./depot --keep 14
      entrepot backup /mnt/backup/entrepot --list
      entrepot backup /mnt/backup/entrepot --check
      entrepot restore-backup /mnt/backup/entrepot --data ./another
    """
    commands = server_commands()
    if list_them:
        _list(folder, commands.list_backups(folder), as_json)
        return
    if check:
        with bars.shown(as_json) as update:
            checked = commands.check_backups(folder, step=_step("check", update))
        _tell_checked(checked, as_json)
        return
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    with bars.shown(as_json) as update:
        done = commands.back_up(config, folder, keep=keep, step=_step("backup", update))
    made = done.backup
    if as_json:
        output.emit({**asdict(done), "backup": {**asdict(made), "at": made.at.isoformat()}})
    else:
        output.line(
            f"backup {made.name}: {made.objects} objects, {output.size(made.n_bytes)}, and a catalogue of "
            f"{output.size(made.catalog_bytes)}"
        )
        output.line(f"{done.copied} objects were new, {output.size(done.copied_bytes)}")
        if done.removed:
            output.line(f"{len(done.removed)} old backups removed, {output.size(done.freed_bytes)} freed")
    _tell_lost(made.lost, made.lost_count, as_json, "`entrepot verify` names the datasets.")


@app.command("restore-backup")
def restore_backup(
    folder: Annotated[Path, typer.Argument(help="Where `entrepot backup` put it.")],
    data: Data = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="NAME", help="The beginning of a backup's name; else the newest.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup back into an empty folder. Run it again if it was cut off: it goes on where it was.

    All bytes are compared with their digests on the way. The catalogue goes where the settings say: a backup of a
    server on PostgreSQL can be put back into SQLite, and the other way round. Uploads that were under way have ended;
    everything else is as it was, passwords, tokens and links too. Settings are not put back.

    \b
    Examples:
      entrepot restore-backup /mnt/backup/entrepot --data ./another
      entrepot restore-backup /mnt/backup/entrepot --data ./another --at 20260131
      entrepot restore-backup /mnt/backup/entrepot --data ./another --set database=postgresql://localhost/entrepot
    """
    commands = server_commands()
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    with bars.shown(as_json) as update:
        done = commands.restore_backup(config, folder, at=at, step=_step("restore", update))
    if as_json:
        said = asdict(done)
        said["backup"]["at"] = done.backup.at.isoformat()
        output.emit(said)
    else:
        output.line(
            f"backup {done.backup.name} is in {config.data}: {done.backup.objects} objects, "
            f"{output.size(done.backup.n_bytes)}"
        )
        if done.has_settings:
            output.note(
                f"The settings of the old server are in {folder / 'entrepot.toml'}; copy what you need of them."
            )
    _tell_lost(done.lost, len(done.lost), as_json, f"`entrepot verify --data {config.data}` names the datasets.")


def _list(folder: Path, found: list[Any], as_json: bool) -> None:
    if as_json:
        output.emit([{**asdict(one), "at": one.at.isoformat()} for one in found])
        return
    if not found:
        output.note(f"There is no whole backup in {folder}: one was begun and did not end, or runs now.")
        return
    output.table(
        ["name", "objects", "bytes", "catalogue", "lost"],
        [
            [one.name, str(one.objects), output.size(one.n_bytes), output.size(one.catalog_bytes), str(one.lost_count)]
            for one in found
        ],
    )


def _tell_checked(checked: Any, as_json: bool) -> None:
    if as_json:
        output.emit(asdict(checked))
    else:
        output.line(f"{len(checked.backups)} backups, {checked.objects} objects read, {output.size(checked.n_bytes)}")
        for name in checked.damaged:
            output.note(f"DAMAGED  backup {name}: its catalogue is missing or wrong; nothing can be put back from it")
        if not checked.damaged and not checked.lost:
            output.line("Nothing is damaged.")
    _tell_lost(checked.lost, checked.lost_count, as_json, "The next backup copies them again, if the server has them.")
    if checked.damaged:
        raise Partial


def _step(what: str, update: Callable[[Progress], None] | None) -> Callable[[int, int, int, int], None] | None:
    if update is None:
        return None

    def step(objects: int, size: int, all_objects: int, all_bytes: int) -> None:
        update(Progress(what, bytes_done=size, bytes_total=all_bytes, files_done=objects, files_total=all_objects))

    return step


def _tell_lost(lost: Any, count: int, as_json: bool, hint: str) -> None:
    if not count:
        return
    if not as_json:
        for one in lost[:_SHOWN]:
            output.note(f"MISSING  object {one.key}  {output.size(one.size)}: {one.reason}")
        if count > _SHOWN:
            output.note(f"and {count - _SHOWN} more")
        output.note(hint)
    raise Partial
