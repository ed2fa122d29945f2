"""Teams and who is in them: found by name, made where they are missing, never taken away from."""

from __future__ import annotations

from collections.abc import Iterable

from entrepot.client.client import Client
from entrepot.client.ufdl.records import Team
from entrepot.client.ufdl.report import Imported
from entrepot.client.ufdl.source import Source
from entrepot.model import names
from entrepot.model.errors import EntrepotError, Forbidden, NotFound, Unauthenticated, Unavailable

__all__ = ["People"]


class People:
    """The teams of one run, and which of them are here."""

    def __init__(self, client: Client, source: Source, report: Imported, *, dry_run: bool) -> None:
        self._client = client
        self._source = source
        self._report = report
        self._dry_run = dry_run
        self._here: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._to_make: set[int] = set()

    def team_of(self, pk: int) -> str | None:
        """The id here of a team there; None if it is not here."""
        return self._here.get(pk)

    def name_of(self, pk: int) -> str:
        """Its name here, if it is here."""
        return self._names[pk]

    def would_make(self, pk: int) -> bool:
        """Whether it is not here only because this is a rehearsal."""
        return pk in self._to_make

    def bring(self, teams: Iterable[Team], only: set[int] | None) -> None:
        """
        Args:
            only: Numbers of the teams that are wanted; all if None.
        """
        here = {team.name: team.id for team in self._client.teams.list()}
        for team in teams:
            if only is not None and team.pk not in only:
                continue
            try:
                self._team(team, here)
            except (Unavailable, Unauthenticated):
                raise
            except EntrepotError as error:
                self._report.trouble(f"team {team.name}", error.message)

    def _team(self, team: Team, here: dict[str, str]) -> None:
        is_personal = team.name.startswith("~")
        name = team.name if is_personal else names.team_name(team.name)
        found = here.get(name)
        if found is None and is_personal:
            # Of one person, at a server of this kind. Who has an account here has such a team here.
            return
        if found is None:
            self._report.teams.made += 1
            if self._dry_run:
                self._to_make.add(team.pk)
            else:
                found = self._client.teams.create(team.name).id
        else:
            self._report.teams.there += 1
        if found is not None:
            self._here[team.pk], self._names[team.pk] = found, name
        if not is_personal:
            self._members(team, found)

    def _members(self, team: Team, found: str | None) -> None:
        there = set() if found is None else {member.user for member in self._client.teams.members(found)}
        for _, name in team.members:
            try:
                account = self._client.users.person(name).name
            except NotFound:
                self._report.missing_users.append(
                    {"user": name, "team": team.name, "role": self._source.role(team.pk, name) or "unknown"}
                )
                continue
            if account in there:
                # What they may do here was decided here, or by an earlier run.
                self._report.members.there += 1
                continue
            role = self._source.role(team.pk, name)
            if role is None:
                raise Forbidden(f"The source does not tell what {name!r} may do. Import as an administrator there.")
            self._report.members.made += 1
            if not self._dry_run and found is not None:
                self._client.teams.set_member(found, account, role)
