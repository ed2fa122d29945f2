"""`entrepot serve`: run a server on a data folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from entrepot.model.errors import Unsupported

app = typer.Typer(name="serve", rich_markup_mode=None, add_completion=False)


@app.command()
def serve(
    data: Annotated[
        Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen at; ENTREPOT_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one; ENTREPOT_PORT, else 8080.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
    ] = None,
) -> None:
    """Run a server until it is told to end (Ctrl-C or SIGTERM), with a worker process for background work.

    All state is in one folder; a second server on the same folder is refused. At the very first start the account
    admin is made, with the password in ENTREPOT_ADMIN_PASSWORD, else with one that is printed once.

    \b
    Examples:
      entrepot serve --data ./depot
      ENTREPOT_ADMIN_PASSWORD=… entrepot serve --data /srv/entrepot --host 0.0.0.0 --port 8080
      entrepot serve --data ./depot --set limits.upload_size=50GiB
    """
    commands = server_commands()
    given = {"data": None if data is None else str(data), "host": host, "port": None if port is None else str(port)}
    raise typer.Exit(commands.serve(commands.load_config(given, settings or [])))


def server_commands() -> Any:
    """What runs and administers a server; the base install does not have it. Its log goes to standard error.

    Raises:
        Unsupported: The server's packages are not installed here.
    """
    try:
        from entrepot.server import commands, logs
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "entrepot":
            raise
        raise Unsupported(
            f"The server is not installed here ({error.name} is missing): pip install 'entrepot[server]'."
        ) from error
    logs.to_standard_error()
    return commands
