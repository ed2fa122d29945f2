"""`entrepot token …`: what programs show in place of a password."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, connected
from entrepot.model.errors import Invalid

app = typer.Typer(name="token", help="API tokens.", rich_markup_mode=None, add_completion=False)


@app.command()
def create(
    user: Annotated[str | None, typer.Option(help="Whose; yourself if left out. Staff may name anybody.")] = None,
    scope: Annotated[str, typer.Option(help="read, write or admin.")] = "read",
    name: Annotated[str, typer.Option(help="What lists call it.")] = "",
    project: Annotated[
        list[str] | None, typer.Option(help="Limit it to this project; may be given several times.")
    ] = None,
    expires_in_days: Annotated[int | None, typer.Option(help="Its lifetime.")] = None,
    never: Annotated[bool, typer.Option("--never", help="It never runs out.")] = False,
    node: Annotated[str | None, typer.Option(help="The node that whoever shows it acts for.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Make it in the data folder of a server on this machine instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, once: nobody can look it up later.

    With --data no login is needed, only the right to read and write that folder; a server may be running on it.

    \b
    Examples:
      entrepot token create --scope write --project lab --name sequencer-2
      entrepot token create --data ./depot --user admin --scope admin --json
    """
    from entrepot.model.values import Scope

    if scope not in {known.value for known in Scope}:
        raise Invalid(f"{scope!r} is no scope. Use read, write or admin.")
    if data is not None:
        if user is None:
            raise Invalid("With --data name the user: --user NAME.")
        if node is not None:
            raise Invalid("A token for a node is made through the running server: leave out --data.")
        made = _in_folder(data, user, Scope(scope), name, project, expires_in_days, never)
    else:
        with connected() as client:
            answer = client.tokens.create(
                name,
                scope=scope,
                projects=project,
                expires_in_s=None if expires_in_days is None else expires_in_days * 86400,
                never=never,
                node=node,
                user=user,
            )
        made = output.plain(answer)
    if as_json:
        output.emit(made)
        return
    output.line(made["token"])
    output.note(f"{made['id']}, scope {scope}. Keep it safe: it is shown only now.")


def _in_folder(
    data: Path, user: str, scope: Any, name: str, projects: list[str] | None, days: int | None, never: bool
) -> dict[str, str]:
    from datetime import timedelta

    from entrepot.server import commands

    made = commands.create_token(
        commands.load_config({"data": str(data)}),
        user,
        scope,
        name=name,
        projects=projects,
        expires_in=None if days is None else timedelta(days=days),
        never=never,
    )
    return {"id": made.id, "token": made.text}


@app.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Somebody else's, for staff.")] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Ended ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List tokens: their names and rights, never their texts.

    \b
    Example:
      entrepot token list
    """
    with connected() as client:
        output.lines(
            client.tokens.list(user=user, revoked=revoked),
            as_json,
            ["token", "name", "scope", "projects", "expires", "last used"],
            lambda token: [
                token.id,
                token.name,
                token.scope.value,
                token.projects or "all",
                output.when(token.expires_at) or "never",
                token.last_used_at,
            ],
        )


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, tok_….")], as_json: AsJson = False
) -> None:
    """End a token at once, and every signed address made with it.

    \b
    Example:
      entrepot token revoke tok_0190b2c4…
    """
    with connected() as client:
        client.tokens.revoke(token)
    if as_json:
        output.emit({"id": token, "revoked": True})
    else:
        output.line(f"{token} is revoked.")
