"""`entrepot user …`: accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, connected, secret
from entrepot.model.errors import Invalid

app = typer.Typer(name="user", help="Accounts.", rich_markup_mode=None, add_completion=False)

User = Annotated[str, typer.Argument(metavar="USER", help="Name or id.")]
PasswordEnv = Annotated[
    str | None, typer.Option(metavar="VAR", help="The environment variable that holds the password.")
]


@app.command("list")
def list_(
    words: Annotated[str | None, typer.Argument(metavar="WORDS", help="A part of the name.")] = None,
    as_json: AsJson = False,
) -> None:
    """List people: for staff their accounts, for others their names.

    \b
    Example:
      entrepot user list ada
    """
    with connected() as client:
        output.lines(
            client.users.list(words),
            as_json,
            ["user", "name", "e-mail", "staff", "active"],
            lambda user: [
                user.name,
                f"{user.first_name} {user.last_name}".strip(),
                getattr(user, "email", None),
                getattr(user, "staff", None),
                getattr(user, "active", None),
            ],
        )


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    password_env: PasswordEnv = None,
    email: Annotated[str | None, typer.Option(help="NAME@localhost if left out.")] = None,
    first_name: Annotated[str, typer.Option()] = "",
    last_name: Annotated[str, typer.Option()] = "",
    staff: Annotated[bool, typer.Option("--staff", help="Administers this server.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an account. Staff only.

    The password comes from an environment variable, so that it is in no history; without one nobody can log in by
    password until it is set.

    \b
    Example:
      ADA_PASSWORD=… entrepot user add ada --password-env ADA_PASSWORD --email ada@example.org
    """
    password = secret(password_env) if password_env else None
    with connected() as client:
        made = client.users.create(
            name, password=password, email=email, first_name=first_name, last_name=last_name, staff=staff
        )
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made user {made.name} ({made.id}).")


@app.command()
def show(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name or id; yourself if left out.")] = "me",
    as_json: AsJson = False,
) -> None:
    """Show an account: your own, or any for staff.

    \b
    Example:
      entrepot user show ada
    """
    with connected() as client:
        found = client.users.get(user)
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("user", found.name),
            ("name", f"{found.first_name} {found.last_name}".strip()),
            ("e-mail", found.email),
            ("staff", found.staff),
            ("active", found.active),
            ("default project", found.default_project),
            ("made", output.when(found.created_at)),
            ("last login", output.when(found.last_login_at)),
            ("id", found.id),
        ]
    )


@app.command("set")
def set_(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name or id; yourself if left out.")] = "me",
    email: Annotated[str | None, typer.Option()] = None,
    first_name: Annotated[str | None, typer.Option()] = None,
    last_name: Annotated[str | None, typer.Option()] = None,
    staff: Annotated[bool | None, typer.Option("--staff/--no-staff", help="Administers this server.")] = None,
    default_project: Annotated[str | None, typer.Option(help="Where things go that name no project.")] = None,
    as_json: AsJson = False,
) -> None:
    """Edit an account; what is not given stays.

    \b
    Examples:
      entrepot user set --default-project lab
      entrepot user set ada --staff
    """
    given = {
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "staff": staff,
        "default_project": default_project,
    }
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise Invalid("Nothing to change was given. `entrepot user set --help` lists what can be.")
    with connected() as client:
        found = client.users.update(user, **changes)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name}: changed.")


@app.command()
def password(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name or id; yourself if left out.")] = "me",
    new_env: Annotated[
        str | None,
        typer.Option("--new-env", "--password-env", metavar="VAR", help="The variable that holds the new one."),
    ] = None,
    old_env: Annotated[str | None, typer.Option(metavar="VAR", help="The variable that holds the old one.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Set it in the data folder of a server on this machine instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set a password. What is in no variable is asked for; the old one only for your own.

    With --data no login is needed, only the right to read and write that folder; a server may be running on it. That is
    the way in when the password of admin was never seen or is forgotten.

    \b
    Examples:
      entrepot user password
      entrepot user password admin --data ./depot
    """
    if data is not None:
        if user == "me":
            raise Invalid("With --data name the user: entrepot user password NAME --data DIR.")
        if old_env:
            raise Invalid("With --data no old password is asked for: leave out --old-env.")
        _in_folder(data, user, _new(new_env))
        _say_changed(user, as_json)
        return
    old = None
    if old_env:
        old = secret(old_env)
    elif user == "me":
        old = typer.prompt("Old password", hide_input=True, err=True)
    new = _new(new_env)
    with connected() as client:
        client.users.set_password(new, old=old, user=user)
    _say_changed(user, as_json)


def _new(variable: str | None) -> str:
    if variable:
        return secret(variable)
    asked: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _in_folder(data: Path, user: str, new: str) -> None:
    from entrepot.server import commands

    commands.set_password(commands.load_config({"data": str(data)}), user, new)


def _say_changed(user: str, as_json: bool) -> None:
    if as_json:
        output.emit({"user": user, "changed": True})
    else:
        output.line("The password is changed.")


@app.command()
def sessions(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name or id; yourself if left out.")] = "me",
    end: Annotated[str | None, typer.Option("--end", metavar="SESSION", help="Log this browser out.")] = None,
    end_all: Annotated[
        bool, typer.Option("--end-all", help="Log everything out that logged in by password. Tokens stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the browsers that somebody is logged in with, or log them out. Others than yourself: staff.

    --end-all also ends what programs got for a password at the doors of other services. API tokens stay; `entrepot
    token revoke` ends those.

    \b
    Examples:
      entrepot user sessions
      entrepot user sessions --end 5f3a…
      entrepot user sessions ada --end-all
    """
    if end is not None and end_all:
        raise Invalid("Say --end SESSION or --end-all, not both.")
    with connected() as client:
        if end_all:
            client.users.end_sessions(user)
        elif end is not None:
            client.users.end_session(end, user=user)
        left = client.users.sessions(user)
    output.lines(
        left,
        as_json,
        ["session", "from", "with", "since", "until"],
        lambda one: [one.id, one.address, one.agent, output.when(one.created_at), output.when(one.expires_at)],
    )


@app.command()
def deactivate(user: User, as_json: AsJson = False) -> None:
    """End all of somebody's access at once: passwords, tokens, signed addresses. What they made stays.

    \b
    Example:
      entrepot user deactivate ada
    """
    with connected() as client:
        found = client.users.deactivate(user)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} has no access any more.")


@app.command()
def reactivate(user: User, as_json: AsJson = False) -> None:
    """Let somebody in again.

    \b
    Example:
      entrepot user reactivate ada
    """
    with connected() as client:
        found = client.users.reactivate(user)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} has access again.")
