"""Who may do what with data: every use case by everybody, with every credential, at every visibility.

What should happen is derived from the table of roles in `tests.support.matrix`, not from the code. Whatever is refused
changes nothing: the whole catalogue is the same before and after. The complete product of what is allowed, where each
answer needs something new to do it to, is walked in the soak tier; a sample of it always.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from random import Random

import pytest

import entrepot.depot
from entrepot.model.access import RULES, Action, Rule
from entrepot.model.values import Role, Scope
from tests.support.matrix import (
    CONTENT,
    COPY_INSIDE,
    EDIT,
    MEMBER,
    RECORD,
    A,
    Cast,
    Row,
    W,
    cast,
    new_cast,
)
from tests.support.use_cases import CASES
from tests.support.walk import allow, refuse

__all__ = ["cast"]

#: How much of what is allowed is tried every time. Of what is refused it is everything: that is cheap.
SHARE = 0.2
#: On the other database the judge is the same; that the rows it is handed are too, these show.
ON_POSTGRES = Random("matrix").sample(sorted(CASES), len(CASES) // 3)
POSTGRES_SHARE = 0.05


@pytest.fixture(scope="module")
def cast_on_postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    folder = tmp_path_factory.mktemp("matrix")
    with new_cast("postgresql", folder, lambda: request.getfixturevalue("postgres_server")) as made:
        yield made


# The rules


def test_the_rules_of_the_product_are_those_of_the_table() -> None:
    """Word for word, so that nobody loosens a rule without coming here."""

    def told(row: Row) -> Rule:
        scope = Scope.READ if not row.writes else Scope.ADMIN if row.role is Role.ADMIN else Scope.WRITE
        return Rule(row.role, row.for_a_node, frozenset(row.everybody), scope=scope)

    named = {
        Action.VIEW_RECORD: RECORD,
        Action.READ_CONTENT: CONTENT,
        Action.COPY: COPY_INSIDE,
        Action.CREATE: W,
        Action.TRASH: W,
        Action.EDIT: EDIT,
        Action.ACCEPT: W,
        Action.MERGE_SOURCE: MEMBER,
        Action.MERGE_AWAY: EDIT,
        Action.REINSTATE: W,
        Action.PURGE: A,
        Action.FREEZE: W,
        Action.UNFREEZE: A,
        Action.VIEW_PROJECT: MEMBER,
        Action.CREATE_PROJECT: W,
        Action.UPDATE_PROJECT: W,
        Action.TRASH_PROJECT: W,
        Action.REINSTATE_PROJECT: A,
        Action.PURGE_PROJECT: A,
        Action.CONFIGURE_PROJECT: A,
        Action.MANAGE_WEBHOOKS: A,
        Action.START_BATCHES: W,
        Action.SEE_TASK: MEMBER,
        Action.CANCEL_TASK: W,
        Action.LINK_SOURCE: W,
        Action.LINK_TARGET: CONTENT,
    }
    assert {action: RULES[action] for action in named} == {action: told(row) for action, row in named.items()}


# The table


@pytest.mark.parametrize("name", CASES)
def test_what_the_table_refuses_is_refused_and_changes_nothing(cast: Cast, name: str) -> None:
    assert not refuse(cast, CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_what_the_table_allows_is_done(cast: Cast, name: str) -> None:
    assert not allow(cast, CASES[name], share=SHARE, seed=name)


@pytest.mark.soak
@pytest.mark.parametrize("name", CASES)
def test_everything_that_the_table_allows_is_done(cast: Cast, name: str) -> None:
    assert not allow(cast, CASES[name])


@pytest.mark.parametrize("name", ON_POSTGRES)
def test_the_table_holds_on_postgresql(cast_on_postgres: Cast, name: str) -> None:
    assert not refuse(cast_on_postgres, CASES[name], share=POSTGRES_SHARE, seed=name)
    assert not allow(cast_on_postgres, CASES[name], share=POSTGRES_SHARE, seed=name)


@pytest.mark.soak
@pytest.mark.parametrize("name", CASES)
def test_the_whole_table_holds_on_postgresql(cast_on_postgres: Cast, name: str) -> None:
    assert not refuse(cast_on_postgres, CASES[name])
    assert not allow(cast_on_postgres, CASES[name])


# Completeness

#: Whose functions have a table of their own, with a test like this one that none is missing: people and credentials.
IDENTITY = frozenset({"users", "teams", "members", "tokens", "nodes", "licences"})

#: What takes an actor and is not in this table, and why.
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(
        ["identities.link", "identities.list_identities", "identities.unlink"], "one's own ways in: with the web door"
    ),
    "sessions.list_sessions": "in the table of people and credentials",
    "sessions.end_session": "one's own: with the logins",
    "sessions.end_all": "in the table of people and credentials",
    "passwords.set_password": "in the table of people and credentials",
    "credentials.issuer_of": "tells a link who made it; grants nothing",
    "idempotency.claim": "the key of a request, one's own whatever it does",
    "naming.of_actor": "names what the actor holds already",
    "naming.role": "the actor's own, for whoever was answered already",
    "relationships.link": "what relationships.create does, with one word more",
    "projects.list_projects": "what it shows depends on who asks, not whether it answers: with what must not leak",
    "versions.list_versions": "likewise",
    "browse.list_versions": "likewise",
    "browse.leaf_versions": "likewise",
    "search.search": "likewise",
    "data_types.count_versions": "likewise",
    "refusing.require_good_changes": "likewise a step of entries.commit and whole.create",
    "readying.readied": "a step of entries.commit and whole.create",
    "brought.looked_up": "likewise a step of these; whose batch it must be: with the batches of commits",
    "recognising.with_types": "a step of entries.commit and whole.create: what may not be read is not looked at",
    "selecting.licences": "likewise: with the UFDL door, whose lists these are",
    "selecting.nodes": "likewise",
    "selecting.projects": "likewise",
    "selecting.teams": "likewise",
    "selecting.users": "likewise",
    "selecting.versions": "likewise",
    "selecting.with_entries": "likewise",
    "singles.page": "likewise: with the Flow door, whose lists these are",
    "singles.page_of_versions": "likewise",
    "singles.count_types": "likewise",
    "sorting.page": "a list of what one may see: with the Benchling door, whose list it is",
    "sorting.creator_of": "what versions.get answers, which is in the table, and whose name is in the record",
    "uploads.may_send": "a step of uploads.begin and putting.put_file, which are in the table",
    "judging.project_exists": "tells everybody whether there is such a number, where numbers are counted through",
    "objects.sign_listed": "asks nobody; the judge is asked when the link is used: with the links",
    "objects.sign_entries": "likewise",
    "objects.sign_table": "likewise",
    "objects.sign_slot": "likewise",
    "objects.sign_slots": "likewise",
    "objects.sign_consigned": "likewise",
    **dict.fromkeys(
        ["consignments.get", "consignments.cancel", "consignments.fill"]
        + [f"splits.{name}" for name in ("get", "begin", "join", "abort")],
        "a consignment is its owner's alone: with consignments",
    ),
    "parcels.receive": "a parcel is its sender's alone, and what it becomes is judged again: with the Flow door",
    "parcels.look": "likewise",
    "crates.create": "what versions.create does, with an upload of one's own: with the archives that come in",
    "table_looks.look": "looks at what the caller sends along, and keeps nothing: with tables",
    "sample_imports.start": "creates as versions.create does, later: with the Flow door",
    "sample_imports.get": "what tasks.get answers, which is in the table",
    "uploads.fresh": "the columns of an upload, for the use case that makes it",
    "uploads.get": "an upload is its owner's alone: with what must not leak",
    "uploads.declare_length": "likewise",
    "uploads.finish": "likewise",
    "uploads.abort": "likewise",
    "uploads.concatenate": "likewise",
    "direct.renew": "likewise: with what goes past the server",
    "direct.finish": "likewise",
    "putting.receive_chunk": "likewise",
}

#: What is handed the house and nobody: no door may call it for somebody. A use case that forgot its actor shows here.
NOBODYS: Mapping[str, frozenset[str]] = {
    "the way in: credentials become an actor": frozenset(
        [
            "attempts.account_key",
            "credentials.authenticate",
            "credentials.by_pair",
            "credentials.by_signed",
            "credentials.of_issuer",
            "credentials.as_operator",
            "identities.open_session",
            "jwt.read",
            "jwt.sign",
            "nodes.resolve_node",
            "objects.fill_link",
            "objects.open_link",
            "passwords.hashed",
            "passwords.is_dated",
            "passwords.matches",
            "passwords.reset",
            "secrets.new_cookie",
            "secrets.new_password",
            "secrets.new_token",
            "sessions.check",
            "sessions.close_session",
            "sessions.exchange",
            "sessions.login",
            "sessions.obtain",
            "sessions.open_session",
            "sessions.refresh",
        ]
    ),
    "the worker's and the operator's": frozenset(
        [
            "background.backlog",
            "background.kinds",
            "bootstrap.bootstrap",
            "checking.count_damaged",
            "checking.missing",
            "checking.scrub",
            "checking.totals",
            "checking.verify",
            "collection.collect",
            "compaction.compact",
            "collection.look",
            "delivering.deliver",
            "delivering.tend",
            "crates.run",
            "examining.run",
            "idempotency.release_all",
            "idempotency.sweep",
            "ingests.run",
            "installation.probe",
            "installation.uid",
            "projects.finish_trash",
            "record_work.run",
            "sample_imports.run",
            "search.run_line",
            "search.run_many",
            "sending.run",
            "sessions.sweep",
            "splits.run",
            "table_summaries.run",
            "tables.sort",
            "upkeep.announce",
            "upkeep.expire",
            "upkeep.forget_tasks",
            "upkeep.purge_trash",
            "upkeep.tend_slots",
            "uploads.sweep",
        ]
    ),
    "what this server is, told to everybody": frozenset(
        ["data_types.find_type", "data_types.list_types", "direct.is_offered"]
    ),
    "steps and words, of which the use case that takes them has an actor": frozenset(
        [
            "changes.clean_change",
            "changes.clean_changes",
            "contents.open_content",
            "contents.open_located",
            "crates.look_through",
            "delivering.pause_after",
            "finishing.name_content",
            "finishing.name_known",
            "finishing.read_digests",
            "delivering.post",
            "finishing.settle",
            "finishing.settle_stage",
            "finishing.with_offset",
            "idempotency.carrying_out",
            "idempotency.keep",
            "idempotency.release",
            "idempotency.renew",
            "naming.of_events",
            "naming.of_numbers",
            "naming.of_tasks",
            "naming.of_tokens",
            "naming.of_user",
            "naming.of_users",
            "paging.leaf",
            "paging.numbered",
            "paging.size",
            "record_checks.build_index",
            "recognising.guess",
            "recognising.guess_small",
            "recognising.read_heads",
            "refusing.require_good",
            "refusing.require_good_arrival",
            "refusing.require_good_files",
            "record_checks.checker",
            "record_tables.convert",
            "records.items_of",
            "sealing.seal",
            "sealing.unseal",
            "spares.give",
            "spares.renewal",
            "spares.take",
            "table_checks.checker",
            "table_checks.convert",
            "table_checks.put_object",
            "tabling.answer",
            "tabling.ask",
            "tabling.files_of",
            "tabling.lend",
            "tabling.workshop",
            "unpacking.waiting",
            "uploads.check_announced",
            "uploads.receive_first",
            "uploads.require_alive",
            "uploads.stage_of",
            "users.new_user",
            "users.retrying_slugs",
        ]
    ),
}


def functions(*, actor: bool) -> Iterator[str]:
    """Every public function of the depot that is handed the house, with or without an actor.

    What takes a connection is a step inside of another.
    """
    for found in pkgutil.iter_modules(entrepot.depot.__path__):
        module = import_module(f"entrepot.depot.{found.name}")
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                continue
            taken = inspect.signature(function).parameters
            if "depot" in taken and "conn" not in taken and ("actor" in taken) == actor:
                yield f"{found.name}.{name}"


def test_no_use_case_is_missing_from_the_table() -> None:
    named = {case.split()[0] for case in CASES}
    found = {name for name in functions(actor=True) if name.partition(".")[0] not in IDENTITY}
    assert len(found) > 80
    assert found - named == ELSEWHERE.keys(), "judge it in the table, or say where it is judged"
    assert named <= found


def test_nothing_that_should_ask_forgets_who_asks() -> None:
    assert set(functions(actor=False)) == frozenset().union(*NOBODYS.values())
