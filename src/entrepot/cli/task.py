"""`entrepot task …`: long work at the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, connected

if TYPE_CHECKING:
    from entrepot.wire.messages.tasks import Task

app = typer.Typer(name="task", help="Long work: list, wait, cancel.", rich_markup_mode=None, add_completion=False)

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="Its id, task_….")]


@app.command("list")
def list_(
    version: Annotated[str | None, typer.Option(help="Only those of this version.")] = None,
    state: Annotated[str | None, typer.Option(help="ready, running, done, failed or cancelled.")] = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first.

    \b
    Example:
      entrepot task list --state running
    """
    with connected() as client:
        output.lines(
            client.tasks.list(version=version, state=state),
            as_json,
            ["task", "kind", "state", "begun", "ended"],
            lambda task: [task.id, task.kind, task.state.value, task.started_at, task.ended_at],
        )


@app.command()
def show(task: TaskId, as_json: AsJson = False) -> None:
    """Show a task: how far it is, what came of it.

    \b
    Example:
      entrepot task show task_0190b2c4…
    """
    with connected() as client:
        found = client.tasks.get(task)
    _say(found, as_json)


@app.command()
def wait(
    task: TaskId,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a task has ended. The exit code is 0 only if it is done, 6 if it failed or was cancelled.

    \b
    Example:
      entrepot task wait task_0190b2c4… --timeout 600
    """
    with connected() as client:
        found = client.tasks.wait(task, timeout=timeout)
    _say(found, as_json)
    if found.state.value != "done":
        raise Partial


@app.command()
def cancel(task: TaskId, as_json: AsJson = False) -> None:
    """Ask a task to end.

    \b
    Example:
      entrepot task cancel task_0190b2c4…
    """
    with connected() as client:
        found = client.tasks.cancel(task)
    _say(found, as_json)


def _say(task: Task, as_json: bool) -> None:
    if as_json:
        output.emit(task)
        return
    output.details(
        [
            ("task", task.id),
            ("kind", task.kind),
            ("state", f"{task.state.value}{' (asked to end)' if task.cancel_requested else ''}"),
            ("progress", task.progress),
            ("result", task.result),
            ("error", (task.error or {}).get("detail") or task.error),
            ("version", task.version),
            ("attempt", task.attempt if task.attempt > 1 else None),
            ("begun", output.when(task.started_at)),
            ("ended", output.when(task.ended_at)),
        ]
    )
