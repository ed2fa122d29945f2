"""`entrepot doctor`: what is wrong with a data folder of this machine, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson
from entrepot.cli.serve import server_commands

app = typer.Typer(name="doctor", rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    data: Annotated[
        Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at a data folder and what belongs to it: say what is wrong, and how to mend it.

    Nothing is changed, and a running server is not disturbed. The exit code is 6 if something is bad; a warning alone
    leaves it 0.

    \b
    Examples:
      entrepot doctor --data ./depot
      entrepot doctor --data ./depot --json
    """
    commands = server_commands()
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    found = commands.examine(config)
    if as_json:
        output.emit([asdict(one) for one in found])
    else:
        output.table(["state", "what", "finding"], [[one.state.value, one.what, one.says] for one in found])
        for one in found:
            if one.mend:
                output.note(f"{one.what}: {one.mend}")
    if any(one.state.value == "bad" for one in found):
        raise Partial
