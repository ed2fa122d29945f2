"""What commands do on the machine of the server itself, on its data folder, beside the running server or without it.

Whoever can read the folder can do everything anyway, so nobody is asked for a password here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.model import ids
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Scope
from entrepot.server import config
from entrepot.server.config import Config

if TYPE_CHECKING:
    from entrepot.depot.checking import Checked
    from entrepot.depot.collection import Collected
    from entrepot.server.backup_check import Checked as CheckedBackups
    from entrepot.server.backup_folder import Backup, Done, Step
    from entrepot.server.backups import Restored
    from entrepot.server.doctor import Finding


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new token and, this once, its text."""

    id: str
    text: str = field(repr=False)


def load_config(
    given: Mapping[str, Any] | None = None, assignments: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """The settings of a command.

    Args:
        given: Values of options by setting name; None is not given.
        assignments: `NAME=VALUE` of each --set.

    Raises:
        Invalid
    """
    assigned = dict(config.parse_assignment(one) for one in assignments)
    around = os.environ if environ is None else environ
    return config.load({**assigned, **{k: v for k, v in (given or {}).items() if v is not None}}, around)


def serve(settings: Config, *, job_worker: Sequence[str] | None = None) -> int:
    """Run a server until it is told to end; the exit status."""
    # Each command imports what it needs when it runs: some of these processes stay for as long as the server does.
    from entrepot.server import process

    return process.serve(settings, job_worker=job_worker)


def work(settings: Config, *, queues: Sequence[str] | None = None, managed: bool = False) -> int:
    """Do background work until told to end; the exit status. Any number may run beside a server, or without one.

    Args:
        managed: End also when the standard input ends, as it does when whoever started this process dies.

    Raises:
        NotFound: Nothing was ever started on this folder.
    """
    from entrepot.server import worker

    _require_started(settings)
    return worker.run(settings, queues=queues, line=worker.input_ended if managed else None)


def collect(settings: Config, *, dry_run: bool = False) -> Collected:
    """Give back the bytes that nothing refers to any more; with `dry_run` only say how many.

    Raises:
        NotFound: Nothing was ever started on this folder.
    """
    from entrepot.catalog.entries import sweep_strands
    from entrepot.depot import collection
    from entrepot.server import compose

    _require_started(settings)
    with compose.open_depot(settings) as depot:
        if dry_run:
            return collection.look(depot)
        sweep_strands(depot.catalog)
        return collection.collect(depot)


def verify(
    settings: Config,
    *,
    repair_from: Path | None = None,
    step: Callable[[int, int, int, int], None] | None = None,
) -> Checked:
    """Read everything that is stored, compare it, and mark what is damaged. Works beside a running server.

    Args:
        repair_from: A data folder, or a copy of one, to take good bytes from.
        step: Told after each content: contents and bytes so far, contents and bytes that there are.

    Raises:
        NotFound: Nothing was ever started on this folder, or there is no store in `repair_from`.
    """
    from entrepot.depot import checking
    from entrepot.server import compose
    from entrepot.store.filesystem import FilesystemStore

    _require_started(settings)
    second = None if repair_from is None else FilesystemStore(repair_from, name="repair", only_read=True)
    with compose.open_depot(settings) as depot:
        there = checking.totals(depot)
        return checking.verify(
            depot,
            None if step is None else lambda n, size: step(n, size, there.contents, there.n_bytes),
            repair_from=second,
        )


def back_up(settings: Config, folder: Path, *, keep: int | None = None, step: Step | None = None) -> Done:
    """Copy facts and bytes to a folder, beside a running server or without one; see `server.backup_folder`.

    Args:
        keep: How many backups stay in the folder; None keeps all.
        step: Told objects and bytes so far, and objects and bytes that there are.

    Raises:
        NotFound: Nothing was ever started on this data folder.
        AlreadyRunning: Somebody else writes to the folder of backups.
    """
    from entrepot.server import backups

    _require_started(settings)
    return backups.back_up(settings, folder, keep=keep, step=step)


def examine(settings: Config) -> list[Finding]:
    """What is wrong with a data folder and what belongs to it, and how to mend it; changes nothing."""
    from entrepot.server import doctor

    return doctor.examine(settings, os.environ)


def list_backups(folder: Path) -> list[Backup]:
    """The backups of a folder, the oldest first.

    Raises:
        NotFound: There never was one.
    """
    from entrepot.server import backups

    return backups.list_backups(folder)


def check_backups(folder: Path, *, step: Step | None = None) -> CheckedBackups:
    """Read everything in a folder of backups and compare; see `server.backup_check`.

    Raises:
        NotFound: There never was one.
        AlreadyRunning: Somebody makes one now.
    """
    from entrepot.server import backups

    return backups.check(folder, step=step)


def restore_backup(settings: Config, folder: Path, *, at: str | None = None, step: Step | None = None) -> Restored:
    """Put a backup back into an empty data folder and an empty catalogue; see `server.backups`.

    Raises:
        NotFound: There is no such backup.
        Conflict: Something is there already.
    """
    from entrepot.server import backups

    return backups.restore(settings, folder, at=at, step=step)


def create_token(
    settings: Config,
    user: str,
    scope: Scope,
    *,
    name: str = "",
    projects: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
    never: bool = False,
) -> MadeToken:
    """Make a token of somebody. Works beside a running server; that server needs not to be told.

    Raises:
        NotFound: There is no such user, or nothing was ever started on this folder.
    """
    from entrepot.depot import credentials, tokens
    from entrepot.server import compose

    _require_started(settings)
    with compose.open_depot(settings) as depot:
        actor = credentials.as_operator(depot, user)
        made = tokens.create(
            depot,
            actor,
            scope=scope,
            name=name,
            projects=projects,
            expires_at=None if expires_in is None else depot.now() + expires_in,
            never=never,
        )
    return MadeToken(ids.encode(Noun.TOKEN, made.token.uid), made.text)


def set_password(settings: Config, user: str, new: str) -> None:
    """Give somebody another password: the way in when that of the first start was never seen, or is forgotten.

    Works beside a running server; that server needs not to be told.

    Raises:
        NotFound: There is no such user, or nothing was ever started on this folder.
        Invalid: The password is too short.
    """
    from entrepot.depot import passwords
    from entrepot.server import compose

    _require_started(settings)
    with compose.open_depot(settings) as depot:
        passwords.reset(depot, user, new)


def _require_started(settings: Config) -> None:
    catalog = settings.catalog
    if isinstance(catalog, Path) and not catalog.exists():
        raise NotFound(
            f"There is no catalogue in {settings.data}. Start `entrepot serve --data {settings.data}` there once."
        )
