"""`entrepot node …`: worker machines that people act for."""

from __future__ import annotations

from typing import Annotated

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, connected

app = typer.Typer(name="node", help="Worker nodes.", rich_markup_mode=None, add_completion=False)

Node = Annotated[str, typer.Argument(metavar="NODE", help="Name or id.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the nodes.

    \b
    Example:
      entrepot node list
    """
    with connected() as client:
        output.lines(client.nodes.list(), as_json, ["node", "active", "id"], lambda row: [row.name, row.active, row.id])


@app.command()
def create(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> None:
    """Register a node. Staff only.

    \b
    Example:
      entrepot node create gpu-1
    """
    with connected() as client:
        made = client.nodes.create(name)
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made node {made.name} ({made.id}).")


@app.command()
def activate(node: Node, as_json: AsJson = False) -> None:
    """Let people act for a node again. Staff only.

    \b
    Example:
      entrepot node activate gpu-1
    """
    with connected() as client:
        found = client.nodes.activate(node)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} is active.")


@app.command()
def deactivate(node: Node, as_json: AsJson = False) -> None:
    """Let nobody act for a node any more. Staff only.

    \b
    Example:
      entrepot node deactivate gpu-1
    """
    with connected() as client:
        found = client.nodes.deactivate(node)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} is not active any more.")
