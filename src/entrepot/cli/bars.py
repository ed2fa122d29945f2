"""Progress on standard error: bars on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrepot.client.progress import OnProgress, Progress
    from entrepot.wire.messages.tasks import Task

__all__ = ["shown", "task_shown"]

_WORDS = {
    "scan": "Looking",
    "list": "Listing",
    "hash": "Hashing",
    "verify": "Checking",
    "upload": "Sending",
    "download": "Fetching",
    "commit": "Committing",
    "import": "Importing",
}


@contextmanager
def shown(quiet: bool = False) -> Iterator[OnProgress | None]:
    """What to hand to a transfer as its callback; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[files]}"),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def update(progress: Progress) -> None:
        task = tasks.get(progress.phase)
        if task is None:
            for other in tasks.values():
                bars.remove_task(other)
            tasks.clear()
            task = tasks[progress.phase] = bars.add_task(
                _WORDS.get(progress.phase, progress.phase), total=None, files=""
            )
        files = f"{progress.files_done:,}"
        files += f"/{progress.files_total:,} files" if progress.files_total is not None else " files"
        bars.update(task, completed=progress.bytes_done, total=progress.bytes_total or None, files=files)

    with bars:
        yield update


@contextmanager
def task_shown(what: str) -> Iterator[Callable[[Task], None] | None]:
    """What to hand to whoever waits for a task; None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    bar = bars.add_task(what, total=None)

    def update(task: Task) -> None:
        at = task.progress or {}
        bars.update(bar, completed=at.get("done") or 0, total=at.get("total"))

    with bars:
        yield update
