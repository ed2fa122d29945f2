"""The first start, and every later one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.catalog import installation, projects, standing, teams
from entrepot.catalog.database import Catalog
from entrepot.depot import bootstrap, licences, sessions, users
from entrepot.depot.context import Depot
from entrepot.model.errors import BadCredentials, Invalid
from entrepot.model.values import Role
from tests.support.catalogs import Clock
from tests.support.identity import ADMIN_PASSWORD, World, new_depot


def test_the_first_start_makes_an_administrator_who_can_log_in(depot: Depot) -> None:
    started = bootstrap.bootstrap(depot, admin_password="eight ch")
    assert started.first
    assert started.generated_password is None
    actor = sessions.login(depot, "admin", "eight ch", door="native")
    assert actor.staff


def test_without_a_password_one_is_made_up_and_told_once(depot: Depot) -> None:
    started = bootstrap.bootstrap(depot)
    assert started.generated_password is not None
    assert len(started.generated_password) == 20
    assert started.generated_password not in repr(started)
    assert sessions.login(depot, "admin", started.generated_password, door="native").staff
    assert bootstrap.bootstrap(depot).generated_password is None


def test_a_password_of_seven_characters_is_refused_and_nothing_is_made(depot: Depot) -> None:
    for short in ("", "seven c"):
        with pytest.raises(Invalid, match="at least 8"):
            bootstrap.bootstrap(depot, admin_password=short)
    with depot.catalog.read() as conn:
        assert installation.uid(conn) is None


def test_a_later_start_changes_nothing(world: World) -> None:
    before = world.events()
    with world.depot.catalog.read() as conn:
        mine = installation.uid(conn)
    again = bootstrap.bootstrap(world.depot, admin_password="another password")
    assert (again.first, again.installation) == (False, mine)
    assert world.events() == before
    with pytest.raises(BadCredentials):
        world.login("admin", "another password")


def test_the_fourteen_standard_licences_are_there_and_stay_away_once_removed(world: World) -> None:
    found = licences.list_licences(world.depot, world.staff).rows
    assert len(found) == 14
    assert all(licence.standard for licence in found)
    licences.delete(world.depot, world.staff, "MIT")
    bootstrap.bootstrap(world.depot)
    assert len(licences.list_licences(world.depot, world.staff).rows) == 13


def test_the_administrator_has_a_personal_team_and_project(world: World) -> None:
    admin = users.self_of(world.depot, world.staff)
    with world.depot.catalog.read() as conn:
        team = standing.personal_team(conn, admin.n)
        assert standing.team_role(conn, admin.n, team) is Role.ADMIN
        assert admin.default_project is not None
        found = projects.find(conn, user=admin.n, n=admin.default_project)
        assert found is not None
        project, role = found
        assert (project.slug, project.team, project.personal, role) == ("admin", team, True, Role.ADMIN)
        personal = teams.find(conn, asking=admin.n, n=team)
        assert personal is not None
        assert personal[0].name == "~admin"


def test_two_processes_that_start_at_once_set_up_one_server(
    catalog_url: str | Path, catalog: Catalog, clock: Clock
) -> None:
    """Each with a catalogue of its own, as two processes have; all agree on one installation and one password."""
    others = [Catalog.open(catalog_url, clock=clock) for _ in range(3)]
    try:
        depots = [new_depot(each, clock) for each in (catalog, *others)]
        with ThreadPoolExecutor(len(depots)) as pool:
            started = list(pool.map(bootstrap.bootstrap, depots))
        assert len({each.installation for each in started}) == 1
        (first,) = [each for each in started if each.first]
        assert [each.generated_password for each in started if not each.first] == [None] * 3
        assert first.generated_password is not None
        for depot in depots:
            assert sessions.login(depot, "admin", first.generated_password, door="native").staff
        with catalog.read() as conn:
            assert len(licences.rows.page(conn, after=None, limit=100)) == 14
    finally:
        for other in others:
            other.close()


def test_a_start_that_dies_half_way_leaves_nothing(depot: Depot) -> None:
    broken = replace(depot, policy=replace(depot.policy, default_licence="No such licence"))
    with pytest.raises(Exception, match="No such licence"):
        bootstrap.bootstrap(broken, admin_password=ADMIN_PASSWORD)
    with depot.catalog.read() as conn:
        assert installation.uid(conn) is None
        assert licences.rows.page(conn, after=None, limit=1) == []
    assert bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD).first
