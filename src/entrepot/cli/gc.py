"""`entrepot gc`: give back the bytes that nothing refers to any more, in a data folder of this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson
from entrepot.cli.serve import server_commands

app = typer.Typer(name="gc", rich_markup_mode=None, add_completion=False)


@app.command()
def gc(
    data: Annotated[
        Path | None, typer.Option("--data", help="Where all state lives; ENTREPOT_DATA, else ./entrepot-data.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give back the bytes that nothing refers to any more. A server may be running; its worker does this every hour.

    Small files that came together share an object, a pack. Less than half needed, it is rewritten without the rest.

    Bytes are first marked, and deleted by a run after the grace (policy.collection_grace, a day) if nothing came to
    refer to them meanwhile. So what was purged a moment ago takes two runs with a day between them. What was sent
    within the last days also stays until its upload is forgotten (policy.upload_lifetime); --dry-run says how much.

    \b
    Examples:
      entrepot gc --data ./depot --dry-run
      entrepot gc --data ./depot --json
    """
    commands = server_commands()
    config = commands.load_config({"data": None if data is None else str(data)}, settings or [])
    done = commands.collect(config, dry_run=dry_run)
    if as_json:
        output.emit(asdict(done))
        return
    would = "would be " if dry_run else ""
    output.line(f"{done.objects} objects {would}deleted, {output.size(done.freed_bytes)} freed")
    if done.packs:
        output.line(
            f"{done.packs} packs of small files {would}rewritten, "
            f"{output.size(done.packs_bytes)} freed by the run after that"
        )
    output.line(f"{done.condemned} contents {would}marked, {output.size(done.condemned_bytes)}")
    if done.held:
        output.line(
            f"{done.held} contents stay, {output.size(done.held_bytes)}: only uploads refer to them, which are "
            "forgotten some days after their last byte (policy.upload_lifetime)"
        )
