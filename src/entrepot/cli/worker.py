"""`entrepot worker`: more background work on a data folder of this machine, or beside PostgreSQL on another one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entrepot.cli.serve import server_commands

app = typer.Typer(name="worker", rich_markup_mode=None, add_completion=False)


@app.command()
def worker(
    data: Annotated[
        Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
    ] = None,
    queues: Annotated[
        str | None, typer.Option(help="Which work: ingest, upkeep, collection; commas between them; all if left out.")
    ] = None,
    managed: Annotated[
        bool, typer.Option("--managed", help="End when the standard input ends, that is, with whoever started this.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
    ] = None,
) -> None:
    """Do background work until told to end (Ctrl-C or SIGTERM): checks of tables and records, expiry, collection.

    `entrepot serve` runs one of these by itself. A worker does one job of each queue at a time; start more for more.
    Any number may run, also kill -9 does no harm: what a dead worker was doing is begun again by another one.

    \b
    Examples:
      entrepot worker --data ./depot
      entrepot worker --data ./depot --queues ingest
    """
    commands = server_commands()
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    chosen = None if queues is None else [name.strip() for name in queues.split(",") if name.strip()]
    raise typer.Exit(commands.work(config, queues=chosen, managed=managed))
