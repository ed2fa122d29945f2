"""What staff keeps: worker nodes and licences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from entrepot.depot import licences, nodes, projects
from entrepot.depot.licences import Descriptor
from entrepot.depot.projects import ProjectChanges
from entrepot.model import ids
from entrepot.model.errors import Conflict, Invalid, InvalidName, NameTaken, NotFound
from tests.support.identity import World

# Nodes


def test_a_node_is_found_by_number_uid_id_and_name(world: World) -> None:
    made = nodes.create(world.depot, world.staff, "GPU 1")
    assert (made.is_active, made.creator) == (True, world.staff.user)
    for key in (made.n, made.uid, ids.encode(ids.Noun.NODE, made.uid), "GPU 1"):
        assert nodes.get(world.depot, world.staff, key) == made
    for key in (999_999, "node_" + "0" * 32, "GPU 2", "a\x00"):
        with pytest.raises(NotFound):
            nodes.get(world.depot, world.staff, key)


def test_names_of_nodes_are_unique_and_visible(world: World) -> None:
    nodes.create(world.depot, world.staff, "worker")
    with pytest.raises(NameTaken):
        nodes.create(world.depot, world.staff, "worker")
    for wrong in ("", "  ", "a\nb", "x" * 256):
        with pytest.raises(InvalidName):
            nodes.create(world.depot, world.staff, wrong)


def test_of_many_who_register_one_node_at_once_one_wins(world: World) -> None:
    def attempt(_: int) -> str:
        try:
            return nodes.create(world.depot, world.staff, "worker").name
        except NameTaken:
            return "taken"

    _ = world.staff
    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(attempt, range(5))) == ["taken"] * 4 + ["worker"]


def test_a_node_is_switched_off_and_on_and_each_is_told_once(world: World) -> None:
    made = nodes.create(world.depot, world.staff, "worker")
    for _ in range(2):
        assert not nodes.deactivate(world.depot, world.staff, "worker").is_active
    for _ in range(2):
        assert nodes.reactivate(world.depot, world.staff, made.n) == made
    told = [event.verb for event in world.events("node.created", "node.deactivated", "node.reactivated")]
    assert told == ["node.reactivated", "node.deactivated", "node.created"]


def test_deactivated_nodes_stay_in_the_list(world: World) -> None:
    for name in ("a", "b", "c"):
        nodes.create(world.depot, world.staff, name)
    nodes.deactivate(world.depot, world.staff, "b")
    first = nodes.list_nodes(world.depot, world.staff, limit=2)
    rest = nodes.list_nodes(world.depot, world.staff, limit=2, cursor=first.cursor)
    assert [(n.name, n.is_active) for n in (*first.rows, *rest.rows)] == [("a", True), ("b", False), ("c", True)]


# Licences


def test_the_standard_licences_come_first_in_a_fixed_order(world: World) -> None:
    licences.create(world.depot, world.staff, "A house licence")
    found = [licence.name for licence in licences.list_licences(world.depot, world.staff).rows]
    assert len(found) == 15
    assert found[-1] == "A house licence"
    assert {"MIT", "CC0", "Apache 2.0", "Proprietary"} <= set(found)


def test_a_licence_is_found_by_number_uid_id_and_name(world: World) -> None:
    mit = licences.get(world.depot, world.staff, "MIT")
    assert mit.standard
    for key in (mit.n, mit.uid, ids.encode(ids.Noun.LICENCE, mit.uid)):
        assert licences.get(world.depot, world.staff, key) == mit
    for key in (999_999, "lic_" + "0" * 32, "mit", "a\x00"):
        with pytest.raises(NotFound):
            licences.get(world.depot, world.staff, key)


def test_a_licence_is_made_with_its_four_lists(world: World) -> None:
    made = licences.create(
        world.depot,
        world.staff,
        "House",
        url="https://lab.example/terms",
        permissions=["look", "look", "touch"],
        conditions=["ask"],
    )
    assert (made.permissions, made.conditions, made.limitations, made.domains) == (("look", "touch"), ("ask",), (), ())
    assert not made.standard
    (event,) = world.events("licence.created")
    assert event.after is not None
    assert (event.after["name"], event.after["permissions"]) == ("House", ["look", "touch"])
    with pytest.raises(NameTaken):
        licences.create(world.depot, world.staff, "House")


def test_words_are_added_and_removed_and_twice_is_no_mistake(world: World) -> None:
    made = licences.create(world.depot, world.staff, "House", domains=["a", "b"])

    def add(*words: str) -> tuple[str, ...]:
        return licences.add_descriptors(world.depot, world.staff, made.n, Descriptor.DOMAINS, words).domains

    def remove(*words: str) -> tuple[str, ...]:
        return licences.remove_descriptors(world.depot, world.staff, made.n, Descriptor.DOMAINS, words).domains

    assert add("b", "c") == ("a", "b", "c")
    assert add("c", "a") == ("a", "b", "c")
    assert remove("b", "never there") == ("a", "c")
    assert remove("b") == ("a", "c")
    changes = [(e.before, e.after) for e in world.events("licence.updated")]
    assert changes == [
        ({"domains": ["a", "b", "c"]}, {"domains": ["a", "c"]}),
        ({"domains": ["a", "b"]}, {"domains": ["a", "b", "c"]}),
    ]
    with pytest.raises(Invalid, match="at most 100"):
        add(*(f"word {n}" for n in range(100)))
    with pytest.raises(InvalidName):
        add("")


def test_words_added_side_by_side_are_all_kept(world: World) -> None:
    made = licences.create(world.depot, world.staff, "House")
    staff = world.staff

    def add(n: int) -> None:
        licences.add_descriptors(world.depot, staff, made.n, Descriptor.DOMAINS, [f"word {n}"])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(12)))
    assert set(licences.get(world.depot, staff, made.n).domains) == {f"word {n}" for n in range(12)}


def test_a_licence_is_renamed_and_its_address_has_to_be_one(world: World) -> None:
    made = licences.create(world.depot, world.staff, "House")
    after = licences.update(world.depot, world.staff, made.n, name="Home", url="https://lab.example")
    assert (after.name, after.url) == ("Home", "https://lab.example")
    (event,) = world.events("licence.updated")
    assert event.before == {"name": "House", "url": ""}
    for wrong in ("javascript:alert(1)", "ftp://lab.example", "lab.example"):
        with pytest.raises(Invalid, match="web address"):
            licences.update(world.depot, world.staff, made.n, url=wrong)
    with pytest.raises(NameTaken):
        licences.update(world.depot, world.staff, made.n, name="MIT")


def test_a_licence_in_use_stays(world: World) -> None:
    project = world.personal_project(world.staff)
    mit = licences.get(world.depot, world.staff, "MIT")
    proprietary = licences.get(world.depot, world.staff, "Proprietary")
    projects.update(world.depot, world.staff, project, ProjectChanges(default_licence=mit.n))
    with pytest.raises(Conflict, match="in use"):
        licences.delete(world.depot, world.staff, mit.n)
    projects.update(world.depot, world.staff, project, ProjectChanges(default_licence=proprietary.n))
    assert licences.delete(world.depot, world.staff, mit.n) == mit
    with pytest.raises(NotFound):
        licences.get(world.depot, world.staff, mit.n)
    assert world.events("licence.deleted")[0].before is not None


def test_the_default_of_new_projects_keeps_its_name_and_stays(world: World) -> None:
    with pytest.raises(Conflict, match="default licence"):
        licences.update(world.depot, world.staff, "Proprietary", name="Ours")
    with pytest.raises(Conflict, match="default licence"):
        licences.delete(world.depot, world.staff, "Proprietary")
    other = replace(world.depot, policy=replace(world.depot.policy, default_licence="MIT"))
    assert licences.update(other, world.staff, "Proprietary", name="Ours").name == "Ours"
