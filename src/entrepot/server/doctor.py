"""`entrepot doctor`: looks at a data folder and what belongs to it, says what is wrong and how to mend it.

Nothing is changed but for a small file that is written and read back to see whether that works. A running server is
not disturbed, and none is needed.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from entrepot.catalog import migrations, queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.events import page as events_page
from entrepot.depot import checking, installation
from entrepot.depot.context import Depot, wall_clock
from entrepot.jobs import presence
from entrepot.model.errors import EntrepotError
from entrepot.server import compose, datadir
from entrepot.server.config import Config, strangers
from entrepot.server.settings_table import SETTINGS

__all__ = ["Finding", "State", "examine", "examine_open"]

#: Free bytes below which uploads will soon be refused, and below which they are in danger now.
_LITTLE, _VERY_LITTLE = 5 << 30, 200 << 20
#: File systems whose content is gone after a restart.
_FLEETING = frozenset({"tmpfs", "ramfs", "overlay"})
#: Work that waits so long is not being done.
_LATE = timedelta(minutes=10)
_AHEAD = timedelta(minutes=1)


class State(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        says: What is.
        mend: What to do about it; empty when nothing has to be done.
    """

    what: str
    state: State
    says: str
    mend: str = ""


def examine(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Everything that can be found out without stopping anything, in the order in which it should be mended.

    Args:
        environ: The environment that the settings were read in.
    """
    found = [*_settings(environ), *_folder(config), *_address(config)]
    if any(one.state is State.BAD for one in found):
        # What needs the folder would only fail in other words.
        return found
    found += _guarded("catalogue", lambda: _catalogue(config))
    if any(one.state is State.BAD for one in found):
        return found
    return [*found, *_guarded("store", lambda: _inside(config))]


def examine_open(config: Config, depot: Depot) -> list[Finding]:
    """The same from inside of a server that runs: its catalogue is open, so its schema is right."""
    return [*_folder(config), *_address(config), *_guarded("store", lambda: _opened(config, depot))]


def _guarded(what: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What was found until something could not even be looked at."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except EntrepotError as error:
        found.append(Finding(what, State.BAD, error.message, "Mend that first, then ask again."))
    return found


def _settings(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in strangers(environ):
        close = difflib.get_close_matches(name, [setting.env for setting in SETTINGS], 1)
        yield Finding(
            "settings",
            State.WARNING,
            f"{name} is set and is no setting, so it changes nothing.",
            f"Write {close[0]}, if that is meant." if close else "docs/reference/settings.md lists all.",
        )


def _folder(config: Config) -> Iterator[Finding]:
    data = config.data
    if not data.is_dir():
        yield Finding("data folder", State.BAD, f"{data} is no folder.", f"entrepot serve --data {data}")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield Finding(
            "data folder",
            State.BAD,
            f"{data} cannot be written by this user.",
            f"Do it as the user that the server runs as; or, if that is this one, chown -R $(id -u) {data}",
        )
        return
    stranger = datadir.owner_but_root(data)
    if stranger is not None:
        yield Finding(
            "data folder",
            State.BAD,
            f"{data} belongs to {stranger}, whose server could not read what root writes there.",
            f"sudo -u {stranger} entrepot doctor --data {data}",
        )
        return
    if (data / datadir.RESTORING).exists():
        yield Finding(
            "data folder",
            State.BAD,
            f"A backup was put back into {data} only in part.",
            "Run the same `entrepot restore-backup` again: it goes on where it was.",
        )
        return
    open_to = stat.S_IMODE(data.stat().st_mode) & 0o077
    if open_to:
        yield Finding("data folder", State.WARNING, f"Other users can look into {data}.", f"chmod 700 {data}")
    else:
        yield Finding("data folder", State.GOOD, f"{data}, for its owner alone")
    yield from _secret(config)
    yield from _disk(data)


def _secret(config: Config) -> Iterator[Finding]:
    path = config.data / datadir.SECRET
    if config.secret_key is not None:
        return
    if not path.exists():
        if (config.data / datadir.LOCK).exists():
            yield Finding(
                "secret key",
                State.BAD,
                f"{path} is not there, although a server ran here. The next start makes another: links made so far "
                "end, and secrets of webhooks cannot be opened.",
                f"Copy {datadir.SECRET} from a backup before the next start.",
            )
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding(
            "secret key",
            State.BAD,
            f"Other users can read {path}, and with it make links and tokens.",
            f"chmod 600 {path}. If somebody may have read it: stop the server and remove it; links made so far end.",
        )
        return
    try:
        datadir.secret_key(config.data)
    except EntrepotError as error:
        yield Finding("secret key", State.BAD, error.message, f"Copy {datadir.SECRET} from a backup.")
        return
    yield Finding("secret key", State.GOOD, "for its owner alone")


def _disk(data: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(data).free
    says = f"{free / (1 << 30):,.1f} GiB free"
    if free < _VERY_LITTLE:
        yield Finding("disk", State.BAD, says, "Make room: `entrepot gc --dry-run` says what would come free.")
    elif free < _LITTLE:
        yield Finding("disk", State.WARNING, says, "Make room soon: `entrepot gc --dry-run` says what would come free.")
    else:
        yield Finding("disk", State.GOOD, says)
    kind = _file_system(data)
    if kind in _FLEETING:
        yield Finding(
            "disk",
            State.WARNING,
            f"{data} lies on {kind}: a restart of the machine or the container may take everything away.",
            "Mount a disk or a volume there.",
        )


def _file_system(folder: Path) -> str | None:
    """The kind of file system, where the kernel says so."""
    best, kind = "", None
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    here = str(folder.resolve())
    for line in lines:
        _, place, name, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if (here == place or here.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
            best, kind = place, name
    return kind


def _address(config: Config) -> Iterator[Finding]:
    if config.public_url is None and config.host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            "address",
            State.WARNING,
            f"The server listens at {config.host} and public_url is not set: links are built from the Host that "
            "clients send.",
            "Set public_url to the address that people use.",
        )
    elif config.public_url is not None and config.public_url.startswith("http://"):
        yield Finding(
            "address",
            State.WARNING,
            f"{config.public_url} is not encrypted: passwords and tokens travel in the open.",
            "Put a proxy with TLS in front; docs/how-to/run-a-server.md has examples.",
        )
    else:
        yield Finding("address", State.GOOD, config.public_url or f"this machine only ({config.host})")


def _catalogue(config: Config) -> Iterator[Finding]:
    where = config.catalog
    if isinstance(where, Path) and not where.exists():
        yield Finding(
            "catalogue",
            State.BAD,
            "No server was ever started on this folder.",
            f"entrepot serve --data {config.data}",
        )
        return
    with closing(Catalog.open(where, clock=wall_clock, gate_dir=config.data / datadir.RUN)) as catalog:
        with catalog.read() as conn:
            at = migrations.current(conn)
        newest = migrations.newest()
        if at == newest:
            yield Finding("catalogue", State.GOOD, f"{catalog.dialect}, schema {at}")
        elif at in migrations.known():
            yield Finding(
                "catalogue",
                State.BAD,
                f"Its schema is {at}, this program's is {newest}.",
                "Make a backup, then start `entrepot serve`: it brings the catalogue there.",
            )
        else:
            yield Finding(
                "catalogue",
                State.BAD,
                f"A newer Entrepot wrote it (schema {at}; this one knows {newest}).",
                "Install that version, or restore a backup made before the upgrade.",
            )


def _inside(config: Config) -> Iterator[Finding]:
    objects = config.data / "objects"
    if config.store is None and not objects.is_dir():
        # Whoever opens the store makes the folder, and then it would look as if nothing had ever been in it.
        yield Finding(
            "stored bytes",
            State.BAD,
            f"There is no {objects}: all stored bytes are missing.",
            "Mount the disk that it is on, or take the bytes from a backup: `entrepot verify --repair-from BACKUP`.",
        )
        return
    with compose.open_depot(config) as depot:
        compose.require_store(depot)
        yield from _opened(config, depot)


def _opened(config: Config, depot: Depot) -> Iterator[Finding]:
    installation.probe(depot)
    where = "" if config.store is None else f" in {config.store}"
    yield Finding("store", State.GOOD, f"bytes can be written durably and read back{where}")
    looked, missing = checking.missing(depot)
    if missing:
        yield Finding(
            "stored bytes",
            State.BAD,
            f"{len(missing)} of {looked} objects that were looked for are not in the store, or of another size "
            f"({missing[0]}).",
            "See that the right disk is mounted. `entrepot verify` names the datasets; with --repair-from BACKUP it "
            "brings the bytes back.",
        )
    totals = checking.totals(depot)
    if totals.damaged:
        yield Finding(
            "stored bytes",
            State.BAD,
            f"{totals.damaged} of {totals.contents} contents are damaged and not served.",
            "`entrepot verify` names their datasets; with --repair-from BACKUP it mends them.",
        )
    elif not missing:
        never = f", {totals.unread} not read again yet" if totals.unread else ""
        yield Finding("stored bytes", State.GOOD, f"{totals.contents} contents, none known to be damaged{never}")
    yield from _processes(config)
    with depot.catalog.read() as conn:
        oldest = queue.oldest_due(conn)
        newest = events_page(conn, before=None, limit=1)
    now = depot.now()
    if oldest is not None and now - oldest > _LATE:
        yield Finding(
            "background work",
            State.WARNING,
            f"A task waits since {oldest:%Y-%m-%d %H:%M} UTC.",
            "See that a worker runs (`entrepot serve` starts one, `entrepot worker` more) and what its log says.",
        )
    if newest and newest[0].at > now + _AHEAD:
        yield Finding(
            "clock",
            State.BAD,
            f"The newest event is of {newest[0].at:%Y-%m-%d %H:%M} UTC, this machine says {now:%Y-%m-%d %H:%M}.",
            "Set the clock; expiry, tokens and the order of events go by it.",
        )
    else:
        yield Finding("clock", State.GOOD, f"{now:%Y-%m-%d %H:%M} UTC")


def _processes(config: Config) -> Iterator[Finding]:
    holder = _holder(config.data)
    workers = presence.alive(config.data / datadir.RUN / compose.WORKERS)
    if holder is None:
        yield Finding("server", State.WARNING, "none runs on this folder", f"entrepot serve --data {config.data}")
    else:
        yield Finding("server", State.GOOD, f"process {holder}")
    if workers:
        yield Finding("worker", State.GOOD, f"{len(workers)} on this machine")
    elif holder is not None:
        yield Finding(
            "worker",
            State.WARNING,
            "none runs on this machine: checks, scrubbing and collection wait",
            "entrepot worker, here or on another machine",
        )


def _holder(data: Path) -> str | None:
    """The process that holds the server's lock."""
    try:
        descriptor = os.open(data / datadir.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        # Only when it lives is the lock tried: taken even for an instant it would turn away a server that starts.
        if not pid.isdecimal() or not Path(f"/proc/{pid}").exists():
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    finally:
        os.close(descriptor)
    return None
