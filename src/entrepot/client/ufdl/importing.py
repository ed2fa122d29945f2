"""Everything that an installation of UFDL shows one of its users, brought over into this server.

    teams        by name, with their members' roles; who has no account here is reported
    licences     by name, those that datasets use
    projects     by the mark in their description, else by name and team
    datasets     one version after another in the order of their numbers, each as a copy of what it was copied from

A version is made with its mark, filled by one commit, and, where it lies in the source's trash and was asked for, put
into the trash. Whatever of that is there already is left as it is, so a run that was killed anywhere is simply run
again; and run again later it brings what is new at the source. What was edited here since is left alone, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from entrepot.client.client import Client
from entrepot.client.journal import Journal
from entrepot.client.progress import OnProgress, Tally
from entrepot.client.ufdl import marks
from entrepot.client.ufdl.contents import Contents, Found
from entrepot.client.ufdl.numbers import Line, aside
from entrepot.client.ufdl.people import People
from entrepot.client.ufdl.records import Dataset, Licence, Project
from entrepot.client.ufdl.report import Imported
from entrepot.client.ufdl.source import Source
from entrepot.model import names, tag_text
from entrepot.model.digests import sha256_text
from entrepot.model.errors import (
    Conflict,
    EntrepotError,
    InvalidName,
    NotFound,
    StaleRevision,
    Unauthenticated,
    Unavailable,
)
from entrepot.model.values import Visibility
from entrepot.wire.messages import projects as wire
from entrepot.wire.messages.entries import Add, Change, Describe, Entry, Remove
from entrepot.wire.messages.versions import Version

__all__ = ["Options", "import_ufdl"]

PARALLEL: Final = 4
#: These end a run; everything else is said of the thing it is about, and the run goes on with the next.
_FATAL: Final = (Unavailable, Unauthenticated)


@dataclass(frozen=True, slots=True)
class Options:
    """What is brought over.

    Args:
        projects: Names of projects at the source; all if none is named.
        trashed: Bring what lies in the source's trash too, into the trash here.
        dry_run: Say what would be done and do nothing.
    """

    projects: Sequence[str] = ()
    trashed: bool = False
    dry_run: bool = False
    parallel: int = PARALLEL


def import_ufdl(
    client: Client, source: Source, options: Options | None = None, *, on_progress: OnProgress | None = None
) -> Imported:
    """Bring over what `source` shows; the report says what was done, and what could not be.

    Args:
        client: Of an administrator of this server, where teams, licences or memberships are to be made.

    Raises:
        BadCredentials: The source knows no such user.
        NotFound: A named project is not there.
        Unavailable: One of the two servers went away for good. Run it again.
    """
    chosen = options or Options()
    with Journal() as journal:
        return _Import(client, source, chosen, journal, Tally(on_progress)).run()


@dataclass(slots=True)
class _Home:
    """A project of the source, its datasets there, and the project here; None in a rehearsal that would make it."""

    there: Project
    datasets: list[Dataset]
    here: wire.Project | None = None
    marked: marks.Marked = field(default_factory=marks.Marked)
    versions: list[Version] = field(default_factory=list)


class _Import:
    def __init__(self, client: Client, source: Source, options: Options, journal: Journal, tally: Tally) -> None:
        self._client = client
        self._source = source
        self._options = options
        self._tally = tally
        self._report = Imported(source.url, client.url, options.dry_run)
        self._contents = Contents(source, client, journal, self._report, tally, parallel=options.parallel)
        self._people = People(client, source, self._report, dry_run=options.dry_run)
        self._licences: dict[int, Licence] = {}
        self._licence_ids: dict[str, str] = {}
        self._user_names: dict[int, str] = {}
        self._to_send: set[str] = set()
        self._per_commit = 1

    def run(self) -> Imported:
        self._source.log_in()
        homes = self._look()
        self._people.bring(
            self._source.teams(trashed=False), None if not self._options.projects else {one.there.team for one in homes}
        )
        total = sum(one.n_files for home in homes for one in home.datasets)
        self._tally.begin("import", files_total=total)
        for home in homes:
            with self._troubles(f"project {home.there.name}"):
                self._project(home)
        self._tally.end()
        return self._report

    @contextmanager
    def _troubles(self, what: str) -> Iterator[None]:
        """What goes wrong inside is said of `what`, and does not keep the rest from coming over."""
        try:
            yield
        except _FATAL:
            raise
        except EntrepotError as error:
            self._report.trouble(what, error.message)

    # --- what there is at the source ----------------------------------------------------------------------------------

    def _look(self) -> list[_Home]:
        self._tally.begin("list")
        self._per_commit = max(1, self._client.server().limits.entries_per_commit)
        self._licences = {one.pk: one for one in self._source.licences()}
        self._licence_ids = {one.name: one.id for one in self._client.licences.list()}
        self._user_names = self._source.user_names()
        trashed, wanted = self._options.trashed, set(self._options.projects)
        projects = self._source.projects(trashed=trashed)
        missing = sorted(wanted - {one.name for one in projects})
        if missing:
            raise NotFound(f"The source shows no project {missing[0]!r} to this user. Check its name there.")
        homes = []
        # Those of the trash first: while they are brought over, their names must be free here.
        for project in sorted(projects, key=lambda one: (not one.trashed, one.pk)):
            if wanted and project.name not in wanted:
                continue
            found = list(self._source.datasets(project.pk, trashed=True))
            datasets = [one for one in found if trashed or not one.trashed]
            self._report.skipped_trashed += len(found) - len(datasets)
            homes.append(_Home(project, datasets))
            self._tally.add(files=len(datasets))
        self._tally.end()
        return homes

    # --- projects -----------------------------------------------------------------------------------------------------

    def _project(self, home: _Home) -> None:
        there = home.there
        team = self._people.team_of(there.team)
        if team is None and not self._people.would_make(there.team):
            if home.datasets:
                self._report.trouble(f"project {there.name}", "Its team is not here, so nothing of it was brought.")
            return
        home.here = None if team is None else self._find(there)
        if home.here is None:
            self._report.projects.made += 1
            if not self._options.dry_run:
                assert team is not None
                mark = marks.of_project(self._source.url, there.pk)
                home.here = self._client.projects.create(there.name, team=team, description=mark)
        else:
            self._report.projects.there += 1
            if home.here.trash is not None:
                # The last thing that happens to a project of the trash: all of it is here.
                self._report.versions.there += len(home.datasets)
                return
        if home.here is not None:
            self._look_here(home)
        by_name = sorted(home.datasets, key=lambda one: (one.name, one.version, not one.trashed, one.pk))
        for name, versions in groupby(by_name, key=lambda one: one.name):
            with self._troubles(f"{there.name}/{name}"):
                self._line(home, name, list(versions))
        self._sweep(home)
        if there.trashed and home.here is not None and not self._options.dry_run:
            self._client.projects.trash(home.here.id)

    def _find(self, there: Project) -> wire.Project | None:
        """The project here that is the one there: by its mark, in the trash too, else by name and team."""
        mark, marked = marks.of_project(self._source.url, there.pk), f"{self._source.url}/v1, project "
        by_name = None
        for trashed in (False, True):
            for one in self._client.projects.list(trashed=trashed):
                if one.description == mark:
                    return one
                alike = (one.name, one.team) == (names.project_name(there.name), self._people.name_of(there.team))
                if alike and not trashed and not there.trashed and marked not in one.description:
                    by_name = one
        return by_name

    def _sweep(self, home: _Home) -> None:
        """Placeholders that a killed run left in datasets that were not looked at."""
        if self._options.dry_run or home.here is None:
            return
        # Those of names that were looked at went with their line.
        wanted = {names.dataset_name(one.name) for one in home.datasets}
        for name, versions in home.marked.gaps.items():
            if name not in wanted:
                line = Line(self._client, self._source.url, home.here.id, name, gaps=versions)
                for error in line.close():
                    self._report.trouble(f"{home.there.name}/{name}", error.message)

    # --- datasets -----------------------------------------------------------------------------------------------------

    def _line(self, home: _Home, name: str, datasets: list[Dataset]) -> None:
        done: set[int] = set()
        # The last request of a run that was killed may be carried out while this one is at work: then a version is
        # there that was not, and everything is looked at once more.
        overtaken = self._pass(home, name, datasets, done)
        if overtaken:
            self._look_here(home)
            for what, error in self._pass(home, name, datasets, done):
                self._report.trouble(what, error.message)

    def _pass(self, home: _Home, name: str, datasets: list[Dataset], done: set[int]) -> list[tuple[str, Conflict]]:
        """Bring over those that are not `done`, and answer which of them met something that was not there before."""
        known, clean = home.marked.known, names.dataset_name(name)
        mine = [known[one.pk] for one in datasets if one.pk in known and known[one.pk].name == clean]
        gaps = home.marked.gaps.get(clean, [])
        ours = {one.id for one in (*mine, *gaps)}
        line = Line(
            self._client,
            self._source.url,
            "" if home.here is None else home.here.id,
            clean,
            mine=mine,
            gaps=gaps,
            others=[one for one in home.versions if one.name == clean and one.id not in ours],
        )
        overtaken: list[tuple[str, Conflict]] = []
        try:
            for light in datasets:
                if light.pk in done:
                    continue
                with self._troubles(f"{home.there.name}/{light.label}"):
                    try:
                        self._version(home, line, light)
                    except Conflict as error:
                        overtaken.append((f"{home.there.name}/{light.label}", error))
                        continue
                done.add(light.pk)
        finally:
            if not self._options.dry_run:
                for refused in line.close():
                    self._report.trouble(f"{home.there.name}/{name}", refused.message)
        return overtaken

    def _look_here(self, home: _Home) -> None:
        assert home.here is not None
        home.versions = list(self._client.versions.list(project=home.here.id, trashed="include"))
        home.marked = marks.sorted_out(self._source.url, home.versions)

    def _version(self, home: _Home, line: Line, light: Dataset) -> None:
        version = home.marked.known.get(light.pk)
        done = version is not None and version.trash is not None
        if done or (version is not None and not light.trashed and self._edited(version, light)):
            assert version is not None
            if not done:
                self._report.kept.append(f"{version.project_slug}/{version.label}")
            self._report.versions.there += 1
            self._tally.add(files=light.n_files)
            return
        dataset = self._source.dataset(light.pk)
        if self._options.dry_run:
            self._rehearse(dataset, version)
            return
        assert home.here is not None
        before = None if version is None else (version.edit, version.revision)
        licence = self._licence(dataset)
        creator = None if dataset.creator is None else self._user_names.get(dataset.creator)
        mark = marks.of_dataset(self._source.url, dataset, licence, creator)
        fields = self._fields(dataset, licence, mark)
        if version is None:
            version = line.make(dataset.version, dataset.previous, fields)
            self._report.versions.made += 1
        elif version.name == aside(names.dataset_name(dataset.name)):
            version = line.bring_in(version)
        if version.custom.get(marks.KEY, {}).get("record") != mark[marks.KEY]["record"]:
            version = self._client.versions.update(version, **self._fields(dataset, licence, mark, version.custom))
        version = self._fill(dataset, version, home.here.id)
        if before is not None:
            same = before == (version.edit, version.revision)
            self._report.versions.there += same
            self._report.versions.changed += not same
        if dataset.trashed:
            line.trash(version)

    def _fields(
        self, dataset: Dataset, licence: str, mark: Mapping[str, Any], custom: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {
            "description": dataset.description,
            "licence": licence,
            "visibility": Visibility.LISTED if dataset.is_public else Visibility.PRIVATE,
            "tags": list(tag_text.split(dataset.tags)),
            "custom": {**(custom or {}), **mark},
        }

    def _edited(self, version: Version, light: Dataset) -> bool:
        """Whether its newest revision is somebody's own work here."""
        if version.revision == 0:
            return False
        newest = self._client.versions.revision(version, version.revision)
        mark = marks.of_revision(self._source.url, light.pk)
        # A copy starts with revision 1, which says nothing.
        return not newest.message.startswith(mark) and not (version.revision == 1 and not newest.message)

    def _rehearse(self, dataset: Dataset, version: Version | None) -> None:
        handles = self._named(dataset)
        self._licence(dataset)
        if version is None:
            self._report.versions.made += 1
        else:
            have = {entry.path: entry.sha256 for entry in self._client.versions.entries(version)}
            wanted = {
                names.entry_path(name): sha256_text(bytes.fromhex(one)) if len(one) == 64 else one
                for name, one in handles.items()
            }
            self._report.versions.there += have == wanted
            self._report.versions.changed += have != wanted
        self._to_send |= set(handles.values()) - self._contents.known(handles)
        self._report.files += len(handles)
        self._report.sent_files = len(self._to_send)
        self._tally.add(files=len(handles))

    def _licence(self, dataset: Dataset) -> str:
        """The id of the dataset's licence here, made if it is not there; empty in a rehearsal that would make it."""
        licence = self._licences.get(dataset.licence)
        if licence is None:
            raise NotFound(f"The source does not show licence {dataset.licence} to this user.")
        found = self._licence_ids.get(licence.name)
        if found is None:
            words: dict[str, Any] = dict(licence.words)
            rehearsed = self._options.dry_run
            found = "" if rehearsed else self._client.licences.create(licence.name, url=licence.url, **words).id
            self._licence_ids[licence.name] = found
            self._report.licences.made += 1
        return found

    # --- files --------------------------------------------------------------------------------------------------------

    def _fill(self, dataset: Dataset, version: Version, project: str) -> Version:
        """Make the version hold what the dataset holds, as one revision."""
        handles = self._named(dataset)
        texts = {name: text for name, text in self._texts(dataset).items() if name in handles}
        have = {entry.path: entry for entry in self._client.versions.entries(version)}
        paths = {name: names.entry_path(name) for name in handles}
        lacking = {
            name: handle
            for name, handle in handles.items()
            if paths[name] not in have or have[paths[name]].sha256 != f"sha256:{handle}"
        }
        self._tally.add(files=len(handles) - len(lacking))
        found = self._contents.bring(dataset.pk, dataset.label, project, lacking)
        self._report.files += len(handles) - len(lacking) + len(found)
        changes = _changes(paths, texts, have, lacking, found)
        message = marks.of_revision(self._source.url, dataset.pk)
        parts = [changes[at : at + self._per_commit] for at in range(0, len(changes), self._per_commit)]
        for part in parts:
            try:
                done = self._client.versions.commit(version, part, expected=version.revision, message=message)
            except StaleRevision as error:
                raise Conflict(f"{version.label} was edited here at the same moment. Run the import again.") from error
            version = done.version
        self._contents.forget(found)
        return version

    def _named(self, dataset: Dataset) -> dict[str, str]:
        """The files whose names can be stored here."""
        found: dict[str, str] = {}
        taken: set[str] = set()
        for name, handle in (dataset.files or {}).items():
            try:
                path = names.entry_path(name)
            except InvalidName as error:
                self._report.trouble(f"{dataset.label}: {name!r}", error.message)
                continue
            if path in taken:
                self._report.trouble(f"{dataset.label}: {name!r}", "Another file has the same name, normalised.")
                continue
            taken.add(path)
            found[name] = handle
        return found

    def _texts(self, dataset: Dataset) -> dict[str, str]:
        return self._source.texts(dataset.pk) if dataset.files else {}


def _changes(
    paths: Mapping[str, str],
    texts: Mapping[str, str],
    have: Mapping[str, Entry],
    lacking: Iterable[str],
    found: Mapping[str, Found],
) -> list[Change]:
    """In the order the server applies them: what goes makes room for what comes, which comes in the source's order."""
    wanted, absent = set(paths.values()), set(lacking)
    changes: list[Change] = [Remove(op="remove", path=path) for path in have if path not in wanted]
    for name, path in paths.items():
        text = texts.get(name, "")
        if name not in absent:
            if have[path].metadata != text:
                changes.append(Describe(op="describe", path=path, metadata=text))
        elif name in found:
            content = found[name]
            if content.upload is None:
                changes.append(Add(op="add", path=path, sha256=content.sha256, metadata=text))
            elif path not in have or have[path].sha256 != content.sha256 or have[path].metadata != text:
                changes.append(Add(op="add", path=path, upload=content.upload, metadata=text))
    return changes
