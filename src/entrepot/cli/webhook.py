"""`entrepot webhook …`: where a project's events are sent, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, Yes, confirm, connected, secret
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.wire.messages.webhooks import Delivery, Webhook

app = typer.Typer(
    name="webhook", help="Webhooks: have events sent somewhere.", rich_markup_mode=None, add_completion=False
)

Hook = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, webhook_….")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="Its slug or id.")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, dlv_….")]
Event = Annotated[
    list[str] | None,
    typer.Option("--event", help="version.ready, version.* or *; may be given several times."),
]
SecretFrom = Annotated[
    str | None,
    typer.Option("--secret-env", metavar="VARIABLE", help="Take the secret from this environment variable."),
]
Retries = Annotated[int | None, typer.Option(min=0, max=100, help="Attempts after the first.")]
Backoff = Annotated[int | None, typer.Option("--max-backoff-ms", min=0, help="The longest pause between two of them.")]


@app.command()
def create(
    project: Project,
    endpoint: Annotated[str, typer.Argument(metavar="URL", help="Where to send, https://….")],
    name: Annotated[str, typer.Option(help="What lists call it; the address if left out.")] = "",
    event: Event = None,
    no_events: Annotated[bool, typer.Option("--no-events", help="A mere destination for `entrepot batch`.")] = False,
    secret_env: SecretFrom = None,
    max_retries: Retries = None,
    max_backoff_ms: Backoff = None,
    as_json: AsJson = False,
) -> None:
    """Have a project's events sent somewhere, and print the secret, once: nobody can look it up later.

    \b
    Examples:
      entrepot webhook create lab https://ci.example.org/entrepot --event version.ready
      entrepot webhook create lab https://labels.example.org/items --no-events
    """
    if event and no_events:
        raise Invalid("--event and --no-events exclude each other.")
    more = _given(max_retries=max_retries, max_backoff_ms=max_backoff_ms)
    if secret_env is not None:
        more["secret"] = secret(secret_env)
    with connected() as client:
        made = client.webhooks.create(
            project, name or endpoint[:255], endpoint, events=[] if no_events else event or ["*"], **more
        )
    if as_json:
        output.emit(made)
        return
    output.line(made.secret)
    output.note(f"{made.id}. Keep the secret safe: it is shown only now.")


@app.command("list")
def list_(project: Project, as_json: AsJson = False) -> None:
    """List the webhooks of a project.

    \b
    Example:
      entrepot webhook list lab
    """
    with connected() as client:
        output.lines(
            client.webhooks.list(project),
            as_json,
            ["webhook", "name", "endpoint", "events", "on"],
            lambda row: [row.id, row.name, row.endpoint, row.events, row.enabled],
        )


@app.command()
def show(webhook: Hook, as_json: AsJson = False) -> None:
    """Show a webhook; never its secret.

    \b
    Example:
      entrepot webhook show webhook_0190b2c4…
    """
    with connected() as client:
        _say(client.webhooks.get(webhook), as_json)


@app.command()
def update(
    webhook: Hook,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    endpoint: Annotated[str | None, typer.Option("--url", help="Another address.")] = None,
    event: Event = None,
    enable: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
    max_retries: Retries = None,
    max_backoff_ms: Backoff = None,
    as_json: AsJson = False,
) -> None:
    """Change a webhook. What is not given stays.

    \b
    Example:
      entrepot webhook update webhook_0190b2c4… --on
    """
    changes = _given(
        name=name,
        endpoint=endpoint,
        events=event,
        enabled=enable,
        max_retries=max_retries,
        max_backoff_ms=max_backoff_ms,
    )
    if not changes:
        raise Invalid("Say what to change: --name, --url, --event, --on, --off, --max-retries or --max-backoff-ms.")
    with connected() as client:
        _say(client.webhooks.update(webhook, **changes), as_json)


@app.command()
def delete(webhook: Hook, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a webhook, with everything that was on its way to it.

    \b
    Example:
      entrepot webhook delete webhook_0190b2c4…
    """
    with connected() as client:
        confirm(f"Remove {webhook} and all its deliveries?", yes)
        client.webhooks.delete(webhook)
    if as_json:
        output.emit({"id": webhook, "deleted": True})
    else:
        output.line(f"{webhook} is gone.")


@app.command("new-secret")
def new_secret(webhook: Hook, secret_env: SecretFrom = None, as_json: AsJson = False) -> None:
    """Replace the secret of a webhook, and print the new one, once.

    \b
    Example:
      entrepot webhook new-secret webhook_0190b2c4…
    """
    with connected() as client:
        made = client.webhooks.new_secret(webhook, None if secret_env is None else secret(secret_env))
    if as_json:
        output.emit(made)
        return
    output.line(made.secret)
    output.note("Keep it safe: it is shown only now. The old one signs nothing any more.")


@app.command("test")
def try_it(
    webhook: Hook,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Send a webhook a test, and wait what comes of it. The exit code is 0 only if it was taken.

    \b
    Example:
      entrepot webhook test webhook_0190b2c4…
    """
    with connected() as client:
        found = client.webhooks.test(webhook, timeout=timeout)
    _say_delivery(found, as_json)
    if found.state.value != "delivered":
        raise Partial


@app.command()
def deliveries(
    webhook: Hook,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or failed.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what a webhook was sent, newest first.

    \b
    Example:
      entrepot webhook deliveries webhook_0190b2c4… --state failed
    """
    with connected() as client:
        output.lines(
            client.webhooks.deliveries(webhook, state=state),
            as_json,
            ["delivery", "event", "state", "attempts", "status", "made", "error"],
            lambda row: [row.id, row.type, row.state.value, row.attempts, row.status, row.created_at, row.error],
        )


@app.command()
def replay(
    webhook: Hook,
    delivery: Annotated[str | None, typer.Argument(metavar="DELIVERY", help="Its id, dlv_….")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Everything from this time on that failed or was never sent; UTC.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send one delivery again, or what failed or was never sent since a time.

    \b
    Examples:
      entrepot webhook replay webhook_0190b2c4… dlv_0190b2c5…
      entrepot webhook replay webhook_0190b2c4… --since 2026-03-01
    """
    if (delivery is None) == (since is None):
        raise Invalid("Name one delivery, or give --since.")
    with connected() as client:
        if delivery is not None:
            _say_delivery(client.webhooks.replay(webhook, delivery), as_json)
            return
        assert since is not None
        from datetime import UTC

        count = client.webhooks.replay_since(webhook, since.replace(tzinfo=UTC))
    if as_json:
        output.emit({"deliveries": count})
    else:
        output.line(f"{count} deliveries are on their way again.")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _say(found: Webhook, as_json: bool) -> None:
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("webhook", found.id),
            ("name", found.name),
            ("endpoint", found.endpoint),
            ("events", found.events),
            ("on", found.enabled),
            ("why off", found.disabled_reason),
            ("retries", f"{found.max_retries}, at most {found.max_backoff_ms} ms apart"),
            ("given up", found.given_up or None),
            ("made", output.when(found.created_at)),
        ]
    )


def _say_delivery(found: Delivery, as_json: bool) -> None:
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("delivery", found.id),
            ("event", found.type),
            ("state", found.state.value),
            ("attempts", found.attempts),
            ("status", found.status),
            ("error", found.error),
            ("answer", found.excerpt),
        ]
    )
