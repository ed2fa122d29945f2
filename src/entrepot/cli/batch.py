"""`entrepot batch …`: every item of a version to a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, Reference, connected

if TYPE_CHECKING:
    from entrepot.wire.messages.webhooks import Batch

app = typer.Typer(
    name="batch", help="Send every item of a version to a webhook.", rich_markup_mode=None, add_completion=False
)

Job = Annotated[str, typer.Argument(metavar="TASK", help="The id of its task, task_….")]


@app.command()
def start(
    thing: Reference,
    webhook: Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, webhook_….")],
    name: Annotated[str, typer.Option(help="What lists call it.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit code 6 unless all were taken.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send every item of a version to a webhook, in order.

    \b
    Example:
      entrepot batch start lab/labels webhook_0190b2c4… --wait
    """
    with connected() as client:
        found = client.batches.start(thing, webhook, name=name)
        if wait:
            client.tasks.wait(found.task)
            found = client.batches.get(found)
    _say(found, as_json)
    if wait and (found.task.state.value != "done" or found.failed):
        raise Partial


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    version: Annotated[str | None, typer.Option(help="Only those of this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """List batch jobs, newest first.

    \b
    Example:
      entrepot batch list --project lab
    """
    with connected() as client:
        output.lines(
            client.batches.list(project=project, version=version),
            as_json,
            ["task", "name", "state", "delivered", "failed", "of"],
            lambda row: [row.task.id, row.name, row.task.state.value, row.delivered, row.failed, row.total],
        )


@app.command()
def show(job: Job, as_json: AsJson = False) -> None:
    """Show a batch job: how many items were taken and how many were not.

    \b
    Example:
      entrepot batch show task_0190b2c4…
    """
    with connected() as client:
        _say(client.batches.get(job), as_json)


@app.command()
def stop(job: Job, as_json: AsJson = False) -> None:
    """Stop a batch job. What was sent stays sent.

    \b
    Example:
      entrepot batch stop task_0190b2c4…
    """
    with connected() as client:
        _say(client.batches.stop(job), as_json)


@app.command()
def log(
    job: Job,
    level: Annotated[str, typer.Option(help="The least urgent lines: debug, info, warning or error.")] = "info",
    as_json: AsJson = False,
) -> None:
    """Show what a batch job said, newest first.

    \b
    Example:
      entrepot batch log task_0190b2c4… --level warning
    """
    with connected() as client:
        output.lines(
            client.batches.log(job, level=level),
            as_json,
            ["at", "level", "item", "message"],
            lambda line: [line.at, line.level, line.item, line.message],
        )


def _say(found: Batch, as_json: bool) -> None:
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("task", found.task.id),
            ("name", found.name),
            ("state", found.task.state.value),
            ("delivered", found.delivered),
            ("failed", found.failed),
            ("of", found.total),
            ("version", found.version),
            ("revision", found.revision),
            ("webhook", found.webhook),
            ("error", (found.task.error or {}).get("detail")),
        ]
    )
