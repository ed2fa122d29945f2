"""`entrepot link …`: what came from what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Reference, connected
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.wire.messages.relationships import End, Graph, Relationship

app = typer.Typer(
    name="link", help="Say what came from what, and follow it.", rich_markup_mode=None, add_completion=False
)


@app.command()
def add(
    source: Annotated[str, typer.Argument(metavar="RESULT", help="What was made; you need write permission.")],
    target: Annotated[str, typer.Argument(metavar="ORIGIN", help="What it was made of; you need read permission.")],
    verb: Annotated[str, typer.Option("--verb", help="Any words: derived_from, analysis_of, acquired_with …")] = (
        "derived_from"
    ),
    mode: Annotated[str | None, typer.Option(help="How, as in non_destructive.")] = None,
    note: Annotated[str | None, typer.Option(help="Anything else.")] = None,
    qualifiers: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    as_json: AsJson = False,
) -> None:
    """Link a result to its origin. Both ends are pinned to the revision they have now, or to the one that is named.

    \b
    Examples:
      entrepot link add lab/penguin-means lab/penguins@3.17
      entrepot link add lab/plots lab/penguin-means --verb plotted_from --qualifiers '{"tool": "matplotlib"}'
    """
    from entrepot.client.pins import pin

    facts: Any = None
    if qualifiers is not None:
        try:
            facts = json.loads(qualifiers)
        except ValueError as error:
            raise Invalid(f"--qualifiers is no JSON: {error}.") from None
        if not isinstance(facts, dict):
            raise Invalid("--qualifiers is not a JSON object.")
    with connected() as client:
        result, origin = pin(client.transport, source), pin(client.transport, target)
        made = client.relationships.create(
            result,
            origin,
            verb,
            mode=mode,
            note=note,
            qualifiers=facts,
            source_revision=result.revision,
            target_revision=origin.revision,
        )
    if as_json:
        output.emit(made)
    else:
        output.line(f"{_end(made.source)} {made.verb} {_end(made.target)} ({made.id})")


@app.command("list")
def list_(
    thing: Reference,
    direction: Annotated[str, typer.Option(help="out (it is the result), in (it is the origin) or both.")] = "both",
    as_json: AsJson = False,
) -> None:
    """List the links of a version.

    \b
    Example:
      entrepot link list lab/penguins --direction in
    """
    with connected() as client:
        output.lines(
            client.relationships.list(thing, direction=direction),
            as_json,
            ["result", "verb", "origin", "id"],
            lambda edge: [_end(edge.source), edge.verb, _end(edge.target), edge.id],
        )


@app.command()
def remove(
    link: Annotated[str, typer.Argument(metavar="LINK", help="Its id, rel_….")], as_json: AsJson = False
) -> None:
    """Remove a link.

    \b
    Example:
      entrepot link remove rel_0190b2c4…
    """
    with connected() as client:
        client.relationships.delete(link)
    if as_json:
        output.emit({"id": link, "deleted": True})
    else:
        output.line(f"{link} is gone.")


@app.command()
def graph(
    thing: Reference,
    direction: Annotated[str, typer.Option(help="up (its origins), down (its results) or both.")] = "both",
    depth: Annotated[int | None, typer.Option(help="How many steps at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show as a tree what a version was made of, and what was made of it.

    \b
    Examples:
      entrepot link graph lab/penguin-means
      entrepot link graph lab/penguins --direction down --depth 2
    """
    with connected() as client:
        start = client.versions.get(thing)
        found = client.relationships.graph(start, direction=direction, depth=depth)
    if as_json:
        output.emit(found)
        return
    output.line(f"{start.project_slug}/{start.label}")
    if direction in ("up", "both"):
        _tree(found, start.id, upward=True)
    if direction in ("down", "both"):
        _tree(found, start.id, upward=False)
    if found.truncated:
        output.note("There is more: the walk ended at the server's limit. Give --depth, or start from another version.")


@app.command()
def affected(thing: Reference, as_json: AsJson = False) -> None:
    """List everything that depends on a version, at any distance: what to look at if it is bad.

    With a revision, as in lab/penguins@3.17, only what was made of that one.

    \b
    Examples:
      entrepot link affected lab/penguins@3
      entrepot link affected lab/penguins@3.17 --json
    """
    with connected() as client:
        found = client.relationships.affected(thing)
    if as_json:
        rows = [{"version": one.version, "distance": one.distance, "edge": one.edge} for one in found.rows]
        output.emit({"start": found.start.reference, "affected": rows, "truncated": found.truncated})
        return
    output.table(
        ["affected", "steps", "by", "of"],
        (
            [f"{one.version.project_slug}/{one.version.label}", one.distance, one.edge.verb, _end(one.edge.target)]
            for one in found.rows
        ),
    )
    if found.truncated:
        output.note("There is more: the walk ended at the server's limit.")


def _tree(graph: Graph, start: str, *, upward: bool) -> None:
    labels = {version.id: f"{version.project_slug}/{version.label}" for version in graph.versions}
    steps: dict[str, list[tuple[str, End | None, Relationship]]] = {}
    for edge in graph.edges:
        near, far = (edge.source, edge.target) if upward else (edge.target, edge.source)
        if near is not None:
            steps.setdefault(near.version, []).append((edge.verb, far, edge))
    shown: set[str] = set()

    def walk(version: str, margin: str, path: frozenset[str]) -> None:
        found = steps.get(version, [])
        shown.add(version)
        for number, (verb, end, _) in enumerate(found, 1):
            last = number == len(found)
            name = labels.get(end.version, _end(end)) if end is not None else "something you may not see"
            # Verbs are anybody's words, so edges can run in circles; and what many ways lead to is shown with its own
            # origins once, since ten steps with ten ways each would be ten thousand million lines.
            again = end is not None and end.version in path
            known = end is not None and end.version in shown and bool(steps.get(end.version))
            mark = " (again)" if again else " (as above)" if known else ""
            arrow = f"{verb}" if upward else f"has {verb}"
            output.line(f"{margin}{'└─' if last else '├─'} {arrow}: {name}{mark}")
            if end is not None and not again and not known:
                walk(end.version, margin + ("   " if last else "│  "), path | {end.version})

    walk(start, "", frozenset({start}))


def _end(end: End | None) -> str:
    if end is None:
        return "something you may not see"
    number = "" if end.number is None else f"@{end.number}.{end.revision}"
    return f"{end.name}{number}{' (purged)' if end.purged else ''}"
