"""Progress on standard error: bars on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrepot.client.progress import OnProgress, Progress

__all__ = ["shown"]

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
