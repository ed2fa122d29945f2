"""Signed links: a narrow right in a URL that ends with its issuer's own."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import timedelta

import pytest

from entrepot.depot import members, nodes, objects, passwords, slots, tokens, trash, users, versions
from entrepot.depot.credentials import Bearer, authenticate
from entrepot.depot.entries import Opened
from entrepot.depot.exports import Export
from entrepot.model.access import ANONYMOUS, Action, Actor, Rule
from entrepot.model.errors import BadSignature, EntrepotError, Gone, Hidden, InvalidName
from entrepot.model.values import Kind, Role, Scope, Visibility
from tests.support.house import House


def opened(house: House, path: str) -> bytes:
    found = objects.open_link(house.depot, path)
    assert isinstance(found, Opened)
    with found.reader as reader:
        return reader.read_at(0, reader.size)


def token_of(house: House, who: Actor, scope: Scope = Scope.READ) -> Actor:
    made = tokens.create(house.depot, who, scope=scope)
    return authenticate(house.depot, Bearer(made.text), door="native")


def test_a_link_leads_to_the_revision_it_was_made_for(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"dir/a b.txt": b"old"})
    link = objects.sign_entry(house.depot, ann, made.n, "dir/a b.txt")
    house.put(ann, made, {"dir/a b.txt": b"new"})
    assert opened(house, link.path) == b"old"


def test_any_change_of_a_link_is_refused(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    path = objects.sign_entry(house.depot, ann, made.n, "a.txt").path
    for changed in (path[:-1], path + "x", path.replace("a.txt", "b.txt"), path.upper()):
        with pytest.raises(BadSignature):
            objects.open_link(house.depot, changed)


def test_a_link_for_reading_takes_no_bytes(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    with pytest.raises(BadSignature):
        objects.fill_link(house.depot, objects.sign_entry(house.depot, ann, made.n, "a.txt").path)


def test_a_link_really_expires(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    short = objects.sign_entry(house.depot, ann, made.n, "a.txt", expires_in=timedelta(minutes=5))
    long = objects.sign_entry(house.depot, ann, made.n, "a.txt", expires_in=timedelta(days=90))
    house.clock.move(minutes=6)
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, short.path)
    assert opened(house, long.path) == b"x"
    house.clock.move(hours=12)
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, long.path)


def test_leaving_the_team_ends_the_links_one_made(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.ADMIN, bob=Role.READ)
    made = house.version(ann, house.project(ann, team=team))
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_entry(house.depot, bob, made.n, "a.txt")
    assert opened(house, link.path) == b"x"
    members.remove(house.depot, ann, team, "bob")
    with pytest.raises(BadSignature, match="may no longer read"):
        objects.open_link(house.depot, link.path)


def test_revoking_a_token_ends_the_links_made_with_it(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    actor = token_of(house, ann)
    link = objects.sign_entry(house.depot, actor, made.n, "a.txt")
    assert opened(house, link.path) == b"x"
    assert actor.token is not None
    tokens.revoke(house.depot, ann, actor.token)
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)


def test_deactivating_a_user_or_a_new_password_ends_their_links(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_entry(house.depot, ann, made.n, "a.txt")
    passwords.set_password(house.depot, house.admin, "ann", "another password")
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)
    fresh = objects.sign_entry(house.depot, house.log_in("ann"), made.n, "a.txt")
    users.deactivate(house.depot, house.admin, "ann")
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, fresh.path)


def test_a_link_to_what_was_purged_is_gone(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_entry(house.depot, ann, made.n, "a.txt")
    trash.purge(house.depot, ann, made.n)
    with pytest.raises(Gone):
        objects.open_link(house.depot, link.path)


def test_only_who_may_read_can_make_a_link(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    with pytest.raises(Hidden):
        objects.sign_entry(house.depot, bob, made.n, "a.txt")


def test_anybody_may_link_to_what_is_public_until_it_is_not(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, visibility=Visibility.PUBLIC)
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_entry(house.depot, ANONYMOUS, made.n, "a.txt")
    assert opened(house, link.path) == b"x"
    versions.update(house.depot, ann, made.n, versions.VersionChanges(visibility=Visibility.PRIVATE))
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)


def test_a_link_to_a_whole_revision_gives_its_archive(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Birds of prey")
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_export(house.depot, ann, made.n)
    found = objects.open_link(house.depot, link.path)
    assert isinstance(found, Export)
    assert link.path.endswith("/birds-of-prey.v1.zip")
    assert len(b"".join(found.read())) == found.size


def test_a_link_to_a_folder_gives_nothing_else(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a/b/1": b"x", "a/2": b"y", "ab": b"z"})
    link = objects.sign_export(house.depot, ann, made.n, prefix="/a/b/")
    house.put(ann, made, {"a/b/3": b"later"})
    found = objects.open_link(house.depot, link.path)
    assert isinstance(found, Export)
    with zipfile.ZipFile(io.BytesIO(b"".join(found.read()))) as archive:
        assert archive.namelist() == ["a/b/1"]
    with pytest.raises(InvalidName):
        objects.sign_export(house.depot, ann, made.n, prefix="../a")


def test_a_link_made_for_a_node_may_what_the_node_may_and_ends_with_it(house: House) -> None:
    """Who may only execute edits for a node and not otherwise."""
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.ADMIN, bob=Role.EXECUTE)
    node = nodes.create(house.depot, house.admin, "lab-1")
    wish = versions.NewVersion("table", kind=Kind.TABLE)
    project = house.project(ann, team=team)
    _, (slot,) = slots.create(house.depot, ann, project.n, wish, [slots.NewSlot("a.csv")])
    without = objects.sign_slot(house.depot, bob, slot)
    with pytest.raises(BadSignature):
        objects.fill_link(house.depot, without.path)
    link = objects.sign_slot(house.depot, nodes.acting_for(house.depot, bob, "lab-1"), slot)
    filling = objects.fill_link(house.depot, link.path)
    filling.write(b"a\n1\n")
    assert filling.finish().full
    nodes.deactivate(house.depot, house.admin, node.n)
    with pytest.raises(BadSignature):
        objects.fill_link(house.depot, link.path)
    nodes.reactivate(house.depot, house.admin, node.n)
    objects.fill_link(house.depot, link.path).close()


def test_a_link_ends_with_the_node_of_its_token(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    node = nodes.create(house.depot, house.admin, "lab-1")
    text = tokens.create(house.depot, house.admin, user=ann.user, scope=Scope.READ, node=node.n).text
    link = objects.sign_entry(house.depot, authenticate(house.depot, Bearer(text), door="native"), made.n, "a.txt")
    assert opened(house, link.path) == b"x"
    nodes.deactivate(house.depot, house.admin, node.n)
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)


def test_a_link_reaches_no_further_than_what_it_was_made_with(house: House) -> None:
    """Neither the scope, nor the projects, nor staff rights that its issuer has besides."""
    ann = house.user("ann")
    home, other = house.project(ann), house.project(ann)
    made = house.version(ann, home)
    house.put(ann, made, {"a.txt": b"x"})
    text = tokens.create(house.depot, ann, scope=Scope.READ, projects=[home.n]).text
    by_token = authenticate(house.depot, Bearer(text), door="native")
    narrowed = replace(ann, projects=(home.n,))
    plain = replace(house.admin, staff=False)
    for issuer, ends in ((by_token, True), (narrowed, True), (ann, False)):
        link = objects.sign_entry(house.depot, issuer, made.n, "a.txt")
        assert opened(house, link.path) == b"x"
        versions.update(house.depot, ann, made.n, versions.VersionChanges(project=other.n))
        if ends:
            with pytest.raises(BadSignature, match="may no longer read"):
                objects.open_link(house.depot, link.path)
        else:
            assert opened(house, link.path) == b"x"
        versions.update(house.depot, ann, made.n, versions.VersionChanges(project=home.n))
    _, (slot,) = slots.create(
        house.depot, ann, home.n, versions.NewVersion("table", kind=Kind.TABLE), [slots.NewSlot("a.csv")]
    )
    with pytest.raises(BadSignature, match="may no longer write"):
        objects.fill_link(house.depot, objects.sign_slot(house.depot, by_token, slot).path)
    with pytest.raises(BadSignature):
        objects.fill_link(house.depot, objects.sign_slot(house.depot, plain, slot).path)
    objects.fill_link(house.depot, objects.sign_slot(house.depot, house.admin, slot).path).close()


def test_a_link_keeps_the_narrower_rules_of_its_door(house: House) -> None:
    """A door that shows content to writers only makes no link that outlives the issuer's writing."""
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.ADMIN, bob=Role.WRITE)
    made = house.version(ann, house.project(ann, team=team), visibility=Visibility.PUBLIC)
    house.put(ann, made, {"a.txt": b"x"})
    rules = {Action.READ_CONTENT: Rule(Role.WRITE, scope=Scope.WRITE)}
    narrow, wide = (
        objects.sign_entry(house.depot, one, made.n, "a.txt").path for one in (bob.through("x", rules), bob)
    )
    assert opened(house, narrow) == opened(house, wide) == b"x"
    members.put(house.depot, ann, team, "bob", Role.READ)
    assert opened(house, wide) == b"x"
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, narrow)
    nobody = objects.sign_listed(house.depot, ANONYMOUS.through("x", rules), made.uid, 1, 1, "a.txt")
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, nobody.path)


def test_staff_who_are_none_any_more_keep_no_links(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    users.update(house.depot, house.admin, "bob", users.UserChanges(is_staff=True))
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    link = objects.sign_entry(house.depot, house.log_in("bob", staff=True), made.n, "a.txt")
    assert opened(house, link.path) == b"x"
    users.update(house.depot, house.admin, "bob", users.UserChanges(is_staff=False))
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)
    assert bob.user is not None


def test_no_message_of_a_refusal_shows_the_link(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"x"})
    path = objects.sign_entry(house.depot, ann, made.n, "a.txt").path
    secret = path.split("/")[2]
    house.clock.move(days=1)
    with pytest.raises(EntrepotError) as refused:
        objects.open_link(house.depot, path)
    assert secret[:20] not in str(refused.value)
