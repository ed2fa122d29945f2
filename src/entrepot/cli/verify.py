"""`entrepot verify`: read all stored bytes of a data folder of this machine, and say what is damaged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from entrepot.cli import bars, output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson
from entrepot.cli.serve import server_commands
from entrepot.client.progress import Progress

app = typer.Typer(name="verify", rich_markup_mode=None, add_completion=False)

_SHOWN = 20


@app.command()
def verify(
    data: Annotated[
        Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
    ] = None,
    repair_from: Annotated[
        Path | None, typer.Option("--repair-from", help="A copy of the data folder, to take good bytes from.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read all stored bytes and compare them with their digests. A server may be running.

    What is damaged is named with the datasets that it touches, and not served any more. It is mended when the same
    bytes are sent again, or at once with --repair-from. The exit code is 6 if something stays damaged.

    A worker does this by itself, slowly, with what was not read for policy.scrub_every (30 days).

    \b
    Examples:
      entrepot verify --data ./depot
      entrepot verify --data ./depot --repair-from /backup/depot
      entrepot verify --data ./depot --json
    """
    commands = server_commands()
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    with bars.shown(as_json) as update:

        def step(contents: int, size: int, all_contents: int, all_bytes: int) -> None:
            if update is not None:
                update(
                    Progress(
                        "verify",
                        bytes_done=size,
                        bytes_total=all_bytes,
                        files_done=contents,
                        files_total=all_contents,
                    )
                )

        done = commands.verify(config, repair_from=repair_from, step=step)
    left = [one for one in done.damaged if not one.is_mended]
    if as_json:
        output.emit(asdict(done))
    else:
        output.line(f"{done.contents} contents read, {output.size(done.n_bytes)}")
        for one in done.damaged:
            output.line(
                f"{'mended' if one.is_mended else 'DAMAGED'}  {one.sha256}  {output.size(one.size)}: {one.reason}"
            )
            for place in one.places[:_SHOWN]:
                output.line(f"    {place.reference}")
            if len(one.places) > _SHOWN:
                output.line(f"    and {len(one.places) - _SHOWN} more")
        if done.recovered:
            output.line(f"{done.recovered} that were damaged are right again")
        if not done.damaged:
            output.line("Nothing is damaged.")
    if left:
        if not as_json:
            output.note("Send the same files again, or take them from a backup: entrepot verify --repair-from DIR")
        raise Partial
