"""`entrepot backup` and `entrepot restore-backup`: a data folder and its catalogue to another place, and back.

    restore:  marker ─► objects ─► key ─► catalogue ─► uploads end ─► marker gone

Until the marker is gone nobody serves from the folder, and the same command goes on where it was cut off.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from entrepot._version import __version__
from entrepot.catalog import snapshots
from entrepot.catalog.database import Catalog
from entrepot.depot.context import wall_clock
from entrepot.model.errors import Conflict, NotFound
from entrepot.server import backup_check, backup_folder, compose, config, datadir
from entrepot.server.backup_check import Checked
from entrepot.server.backup_folder import Backup, Done, Lost, Step
from entrepot.server.config import Config
from entrepot.store.disk import translate
from entrepot.store.filesystem import FilesystemStore

#: What is kept beside objects and catalogues, if it is there. Settings are not put back: they may name the database of
#: the server that was backed up.
_BESIDE = (datadir.SECRET, config.FILE_NAME)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back.

    Args:
        lost: Objects whose bytes the backup does not have, or has wrong: `entrepot verify` names their datasets.
        has_settings: Whether the backup has the settings of the server that it is of.
    """

    backup: Backup
    lost: tuple[Lost, ...]
    has_settings: bool


def back_up(settings: Config, folder: Path, *, keep: int | None = None, step: Step | None = None) -> Done:
    """Make a backup of a data folder, beside a running server or without one.

    Raises:
        Conflict: The folder is the data folder itself, or lies in it.
    """
    inside = folder.absolute().resolve()
    if inside.is_relative_to(settings.data.absolute().resolve()):
        raise Conflict(f"{folder} lies in the data folder {settings.data}; a backup belongs on another disk.")
    with compose.open_depot(settings) as depot:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = FilesystemStore(folder, name="backup")
        try:
            done = backup_folder.back_up(depot, folder, target, program=__version__, keep=keep, step=step)
        finally:
            target.close()
        for name in _BESIDE:
            if (settings.data / name).exists():
                _copy_file(settings.data / name, folder / name)
    return done


def restore(settings: Config, folder: Path, *, at: str | None = None, step: Step | None = None) -> Restored:
    """Put a backup back into an empty data folder and an empty catalogue.

    Args:
        at: The beginning of the name of a backup; None is the newest.

    Raises:
        NotFound: There is no such backup.
        Conflict: Something is there already.
        Corrupt: The catalogue of the backup is damaged.
    """
    backup = backup_folder.choose(folder, at)
    facts = backup_folder.snapshot_file(folder, backup)
    source = FilesystemStore(folder, name="backup", only_read=True)
    _claim(settings, backup)
    with datadir.ServerLock(settings.data), tempfile.TemporaryDirectory(dir=settings.data / datadir.RUN) as scratch:
        # A copy, because one of an older schema is brought to the present one, and the backup stays as it is.
        draft = Path(scratch) / "catalog.sqlite"
        shutil.copyfile(facts, draft)
        with closing(Catalog.open(draft, clock=wall_clock)) as snapshot:
            snapshot.upgrade()
            now = wall_clock()
            snapshot.write(lambda conn: snapshots.expire_uploads(conn, now))
            with compose.open_store(settings) as (target, _):
                snapshot.write(lambda conn: snapshots.move_to(conn, target.name))
                lost = backup_folder.put_back_objects(snapshot, source, target, step)
            snapshot.write(lambda conn: snapshots.believe_again(conn, [one.key for one in lost]))
            if (folder / datadir.SECRET).exists():
                _copy_file(folder / datadir.SECRET, settings.data / datadir.SECRET)
            if not isinstance(settings.catalog, Path):
                with closing(
                    Catalog.open(settings.catalog, clock=wall_clock, gate_dir=settings.data / datadir.RUN)
                ) as new:
                    new.upgrade()
                    if snapshots.is_empty(new):
                        # Otherwise this command died behind this line before: whoever holds the marker filled it.
                        snapshots.put_back(snapshot, new)
        if isinstance(settings.catalog, Path) and not settings.catalog.exists():
            # The file is what it should become, so nothing is read out of it and written again.
            try:
                snapshots.install(draft, settings.catalog)
            except OSError as error:
                raise translate(error, f"put the catalogue back to {settings.catalog}") from error
    (settings.data / datadir.RESTORING).unlink()
    return Restored(backup, tuple(lost), (folder / config.FILE_NAME).exists())


def _claim(settings: Config, backup: Backup) -> None:
    """Put up the marker, or find it from the last time.

    Raises:
        Conflict
    """
    marker = settings.data / datadir.RESTORING
    datadir.prepare(settings.data, restoring=True)
    if marker.exists():
        found = json.loads(marker.read_bytes() or b"{}").get("backup")
        if found != backup.name:
            raise Conflict(
                f"The backup {found} is being put back into {settings.data}. Go on with it (--at {found}), "
                "or choose another folder."
            )
        return
    there = sorted(name for name in os.listdir(settings.data) if name != datadir.RUN)  # noqa: PTH208
    if set(there) - {config.FILE_NAME}:
        raise Conflict(
            f"{settings.data} is not empty: it has {', '.join(there[:5])}. Choose an empty folder with --data."
        )
    if not isinstance(settings.catalog, Path):
        with closing(Catalog.open(settings.catalog, clock=wall_clock, gate_dir=settings.data / datadir.RUN)) as catalog:
            catalog.upgrade()
            if not snapshots.is_empty(catalog):
                raise Conflict("The database is not empty: a server was started on it. Choose another one.")
    draft = marker.with_name(f"{marker.name}.part")
    draft.write_text(json.dumps({"backup": backup.name}) + "\n")
    draft.rename(marker)


def list_backups(folder: Path) -> list[Backup]:
    """The whole backups of a folder, the oldest first.

    Raises:
        NotFound: The folder has none and never had.
    """
    if not (folder / backup_folder.CATALOGS).is_dir():
        raise NotFound(f"There are no backups in {folder}: it has no folder {backup_folder.CATALOGS}.")
    return backup_folder.listed(folder)


def check(folder: Path, *, step: Step | None = None) -> Checked:
    """Read everything in a folder of backups; see `backup_check`.

    Raises:
        NotFound: There never was a backup.
        AlreadyRunning: Somebody makes one now.
    """
    list_backups(folder)
    store = FilesystemStore(folder, name="backup", only_read=True)
    try:
        return backup_check.check(folder, store, wall_clock, step=step)
    finally:
        store.close()


def _copy_file(source: Path, target: Path) -> None:
    draft = target.with_name(f"{target.name}.part")
    draft.touch(mode=0o600)
    draft.write_bytes(source.read_bytes())
    draft.rename(target)
