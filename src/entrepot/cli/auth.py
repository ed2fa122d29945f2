"""`entrepot login`, `logout`, `whoami`, and `entrepot auth` as their group."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, connected, secret
from entrepot.model.errors import EntrepotError, Invalid

app = typer.Typer(name="auth", help="Credentials of servers.", rich_markup_mode=None, add_completion=False)

Server = Annotated[str | None, typer.Argument(metavar="URL", help="The server; else ENTREPOT_URL, else the last one.")]
Url = Annotated[str | None, typer.Option(help="The same, by name.")]


@app.command()
def login(
    server: Server = None,
    url: Url = None,
    token_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="The environment variable that holds an API token.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Log in with this name and a password instead.")] = None,
    password_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="The variable that holds the password; asked for otherwise.")
    ] = None,
    scope: Annotated[str, typer.Option(help="Of the token that a password is exchanged for.")] = "admin",
    as_json: AsJson = False,
) -> None:
    """Store a token for a server, in a file that only you can read.

    With --token-env the token is taken from there; otherwise name and password are asked for and exchanged for one.
    ENTREPOT_URL and ENTREPOT_TOKEN win over what is stored.

    \b
    Examples:
      entrepot login https://data.example.org --token-env MY_TOKEN
      entrepot login https://data.example.org --user ada
    """
    from entrepot.client import credentials
    from entrepot.client.credentials import Credential, Credentials

    stored = Credentials()
    url = _one_of(server, url)
    address = credentials.normal_url(url) if url else credentials.resolve(None, "unused", stored)[0]
    if token_env is not None:
        token = secret(token_env).strip()
        with connected(address, token) as client:
            me = client.whoami()
        if me.user is None:
            raise Invalid(f"{address} does not know the token in {token_env}. Copy it again.")
        token_id = None if me.token is None else me.token.id
    else:
        name = user or typer.prompt("User name", err=True)
        password = secret(password_env) if password_env else typer.prompt("Password", hide_input=True, err=True)
        with _anonymous(address) as client:
            made = client.login(name, password, scope=scope, token_name=f"login on {platform.node() or 'a computer'}")
            token, token_id = made.token, made.id
            me = client.whoami()
    known = me.user.name if me.user is not None else None
    stored.store(Credential(address, token, token_id, known))
    if as_json:
        output.emit({"url": address, "user": known, "token_id": token_id, "scope": me.scope, "file": stored.path})
    else:
        output.line(f"Logged in to {address} as {known}.")


def _one_of(server: str | None, url: str | None) -> str | None:
    if server is not None and url is not None:
        raise Invalid(f"Name one server: {server!r}, or {url!r} with --url.")
    return server or url


def _anonymous(address: str) -> Any:
    """Logging in, one shows neither a stored token nor one of the environment: it may have run out."""
    from entrepot.client.client import Client

    client = Client(address)
    client.transport.forget_token()
    return client


@app.command()
def logout(
    server: Server = None,
    url: Url = None,
    keep_token: Annotated[bool, typer.Option("--keep-token", help="Do not end the token there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget the stored token of a server, and end it there.

    \b
    Example:
      entrepot logout
    """
    from entrepot.client import credentials
    from entrepot.client.credentials import Credentials

    stored = Credentials()
    url = _one_of(server, url)
    address = credentials.normal_url(url) if url else stored.default()
    credential = None if address is None else stored.get(address)
    if credential is None:
        if as_json:
            output.emit({"url": address, "forgotten": False})
        else:
            output.line("You are not logged in.")
        return
    ended = False
    if not keep_token:
        try:
            with connected(credential.url, credential.token) as client:
                client.logout()
            ended = True
        except EntrepotError as error:
            output.note(f"The token could not be ended at the server: {error}")
    stored.forget(credential.url)
    if as_json:
        output.emit({"url": credential.url, "forgotten": True, "ended": ended})
    else:
        output.line(f"Logged out of {credential.url}.")


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Show who one is to the server, with which scope and until when.

    \b
    Example:
      entrepot whoami
    """
    with connected() as client:
        me = client.whoami()
        url = client.url
    if as_json:
        output.emit({**output.plain(me), "url": url})
        return
    output.details(
        [
            ("server", url),
            ("user", me.user.name if me.user else "nobody (not logged in)"),
            ("e-mail", me.user.email if me.user else None),
            ("scope", me.scope.value),
            ("staff", "yes" if me.staff else None),
            ("default project", me.default_project),
            ("token", me.token.id if me.token else None),
            ("expires", output.when(me.token.expires_at) or "never" if me.token else None),
        ]
    )


@app.command()
def status(as_json: AsJson = False) -> None:
    """List the servers that a token is stored for. Nothing is asked of them, and no token is shown.

    \b
    Example:
      entrepot auth status
    """
    from entrepot.client.credentials import Credentials

    stored = Credentials()
    default = stored.default()
    rows = [
        {"url": known.url, "user": known.user, "token_id": known.token_id, "default": known.url == default}
        for known in stored.all()
    ]
    output.lines(rows, as_json, ["server", "user", "default"], lambda row: [row["url"], row["user"], row["default"]])
