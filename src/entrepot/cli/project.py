"""`entrepot project …`: projects and the collections in them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Yes, confirm, connected
from entrepot.cli.show import project_details
from entrepot.model.errors import Invalid

app = typer.Typer(name="project", help="Projects and their collections.", rich_markup_mode=None, add_completion=False)

Project = Annotated[str, typer.Argument(metavar="PROJECT", help="Slug or id.")]


@app.command("list")
def list_(
    writable: Annotated[bool, typer.Option("--writable", help="Only those you may write to.")] = False,
    trashed: Annotated[bool, typer.Option("--trashed", help="Those in the trash.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the projects you may see.

    \b
    Example:
      entrepot project list --writable
    """
    with connected() as client:
        output.lines(
            client.projects.list(writable=True if writable else None, trashed=True if trashed else None),
            as_json,
            ["project", "name", "role", "owner"],
            lambda project: [project.slug, project.name, project.role, project.team],
        )


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    team: Annotated[str | None, typer.Option(help="The team that owns it; you, if left out.")] = None,
    description: Annotated[str, typer.Option()] = "",
    slug: Annotated[str | None, typer.Option(help="Its name in references; made from NAME if left out.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of datasets that name none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project.

    \b
    Examples:
      entrepot project create birds
      entrepot project create "Bird Lab" --team ornithology --slug lab
    """
    with connected() as client:
        made = client.projects.create(name, team=team, description=description, slug=slug, default_licence=licence)
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made project {made.slug} ({made.id}).")


@app.command()
def show(project: Project, as_json: AsJson = False) -> None:
    """Show a project, and what it uses.

    \b
    Example:
      entrepot project show lab
    """
    with connected() as client:
        found = client.projects.get(project)
    if as_json:
        output.emit(found)
    else:
        output.details([*project_details(found), ("id", found.id)])


@app.command("set")
def set_(
    project: Project,
    name: Annotated[str | None, typer.Option()] = None,
    slug: Annotated[str | None, typer.Option(help="Its name in references.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    team: Annotated[str | None, typer.Option(help="Another owner.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of datasets that name none.")] = None,
    allocation: Annotated[str | None, typer.Option(help="How much it may hold, as in 500G; '' for no limit.")] = None,
    expire_after: Annotated[
        str | None, typer.Option(help="Days after which new datasets go into the trash; '' for never.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Edit a project; what is not given stays.

    \b
    Examples:
      entrepot project set lab --description "Everything with feathers"
      entrepot project set lab --allocation 2T
      entrepot project set batches --expire-after 30
    """
    from entrepot.client.cache import parse_size

    given = {"name": name, "slug": slug, "description": description, "team": team, "default_licence": licence}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if allocation is not None:
        changes["allocation"] = parse_size(allocation) if allocation else None
    if expire_after is not None:
        changes["default_expiry_s"] = _seconds(expire_after) if expire_after else None
    if not changes:
        raise Invalid("Nothing to change was given. `entrepot project set --help` lists what can be.")
    with connected() as client:
        found = client.projects.update(project, **changes)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.slug}: changed.")


def _seconds(days: str) -> int:
    try:
        found = round(float(days) * 86_400)
    except (ValueError, OverflowError):
        found = 0
    if found < 1:
        raise Invalid(f"--expire-after is a number of days such as 30 or 0.5, not {days!r}.")
    return found


@app.command()
def trash(project: Project, as_json: AsJson = False) -> None:
    """Put a project and its datasets into the trash.

    \b
    Example:
      entrepot project trash lab
    """
    with connected() as client:
        found = client.projects.trash(project)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.slug} is in the trash. Bring it back: entrepot project reinstate {found.id}")


@app.command()
def reinstate(project: Project, as_json: AsJson = False) -> None:
    """Take a project out of the trash. Its versions come back one by one, with `entrepot reinstate`.

    \b
    Example:
      entrepot project reinstate proj_0190b2c4…
    """
    with connected() as client:
        found = client.projects.reinstate(project)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.slug} is back.")


@app.command()
def purge(project: Project, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove an empty project for good.

    \b
    Example:
      entrepot project purge lab
    """
    with connected() as client:
        confirm(f"Remove project {project} for good?", yes)
        found = client.projects.purge(project)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.slug} is gone.")


@app.command()
def tags(project: Project, as_json: AsJson = False) -> None:
    """List the tags in use in a project.

    \b
    Example:
      entrepot project tags lab
    """
    with connected() as client:
        output.lines(client.projects.tags(project), as_json, ["tag"], lambda tag: [tag])


@app.command()
def collections(project: Project, as_json: AsJson = False) -> None:
    """List the collections (folders of datasets) of a project.

    \b
    Example:
      entrepot project collections lab
    """
    with connected() as client:
        output.lines(
            client.collections.list(project), as_json, ["collection", "id"], lambda row: [row.path or "/", row.id]
        )


@app.command("add-collection")
def add_collection(
    project: Project,
    path: Annotated[str, typer.Argument(metavar="PATH", help="As in field/2009; what is missing above is made too.")],
    as_json: AsJson = False,
) -> None:
    """Make a collection.

    \b
    Example:
      entrepot project add-collection lab field/2009
    """
    with connected() as client:
        made = client.collections.create(project, path)
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made collection {made.path} ({made.id}).")


@app.command("remove-collection")
def remove_collection(
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Its id, coll_….")], as_json: AsJson = False
) -> None:
    """Remove an empty collection.

    \b
    Example:
      entrepot project remove-collection coll_0190b2c4…
    """
    with connected() as client:
        client.collections.delete(collection)
    if as_json:
        output.emit({"id": collection, "deleted": True})
    else:
        output.line(f"{collection} is gone.")
