"""`entrepot team …`: teams and who is in them."""

from __future__ import annotations

from typing import Annotated

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Yes, confirm, connected

app = typer.Typer(name="team", help="Teams and who is in them.", rich_markup_mode=None, add_completion=False)

Team = Annotated[str, typer.Argument(metavar="TEAM", help="Name or id.")]
User = Annotated[str, typer.Argument(metavar="USER", help="Name or id.")]


@app.command("list")
def list_(
    trashed: Annotated[bool, typer.Option("--trashed", help="Those in the trash.")] = False, as_json: AsJson = False
) -> None:
    """List your teams; all of them for staff.

    \b
    Example:
      entrepot team list
    """
    with connected() as client:
        output.lines(
            client.teams.list(trashed=trashed),
            as_json,
            ["team", "role", "id"],
            lambda row: [row.name, row.role, row.id],
        )


@app.command()
def create(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> None:
    """Make a team. Staff only.

    \b
    Example:
      entrepot team create ornithology
    """
    with connected() as client:
        made = client.teams.create(name)
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made team {made.name} ({made.id}).")


@app.command()
def rename(team: Team, name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> None:
    """Give a team another name.

    \b
    Example:
      entrepot team rename ornithology birds
    """
    with connected() as client:
        found = client.teams.rename(team, name)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{team} is {found.name} now.")


@app.command()
def members(team: Team, as_json: AsJson = False) -> None:
    """List who is in a team, and what they may do.

    \b
    Example:
      entrepot team members ornithology
    """
    with connected() as client:
        output.lines(
            client.teams.members(team),
            as_json,
            ["user", "role", "since"],
            lambda member: [member.user, member.role, member.created_at],
        )


@app.command()
def add(
    team: Team,
    user: User,
    role: Annotated[str, typer.Option(help="read, execute, write or admin; each includes those before it.")] = "read",
    as_json: AsJson = False,
) -> None:
    """Let somebody into a team, or change what they may do there.

    \b
    Example:
      entrepot team add ornithology ada --role write
    """
    with connected() as client:
        member = client.teams.set_member(team, user, role)
    if as_json:
        output.emit(member)
    else:
        output.line(f"{member.user} has {member.role} permission in {team}.")


@app.command()
def remove(team: Team, user: User, as_json: AsJson = False) -> None:
    """Take somebody out of a team.

    \b
    Example:
      entrepot team remove ornithology ada
    """
    with connected() as client:
        client.teams.remove_member(team, user)
    if as_json:
        output.emit({"team": team, "user": user, "removed": True})
    else:
        output.line(f"{user} is not in {team} any more.")


@app.command()
def trash(team: Team, as_json: AsJson = False) -> None:
    """Put a team into the trash: its memberships end, its projects remain for staff.

    \b
    Example:
      entrepot team trash ornithology
    """
    with connected() as client:
        found = client.teams.trash(team)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} is in the trash. Bring it back: entrepot team reinstate {found.id}")


@app.command()
def reinstate(team: Team, as_json: AsJson = False) -> None:
    """Take a team out of the trash. Staff only.

    \b
    Example:
      entrepot team reinstate team_0190b2c4…
    """
    with connected() as client:
        found = client.teams.reinstate(team)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} is back.")


@app.command()
def purge(team: Team, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a team for good. Staff only.

    \b
    Example:
      entrepot team purge team_0190b2c4… --yes
    """
    with connected() as client:
        confirm(f"Remove team {team} for good?", yes)
        found = client.teams.purge(team)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name} is gone.")
