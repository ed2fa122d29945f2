"""Every noun of the SDK against a real server: the calls fit the routes, and the answers fit the types."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pytest

from entrepot.client.client import Client
from entrepot.model.errors import (
    EntryNotFound,
    Invalid,
    KindMismatch,
    NameTaken,
    NotFound,
    PreconditionFailed,
    StaleRevision,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from entrepot.model.values import Kind, Visibility
from entrepot.wire.messages.entries import Add, Describe, Remove, Rename
from tests.e2e.conftest import PASSWORD, Counting, Running, make_tree


@pytest.fixture
def penguins(client: Client, project: str, tmp_path: Path) -> str:
    client.data.push(make_tree(tmp_path / "tree", {"a.csv": b"1\n", "raw/b.csv": b"2\n"}), f"{project}/penguins")
    return f"{project}/penguins"


def test_the_server_says_what_it_is(client: Client) -> None:
    server = client.server()
    assert "native" in server.doors
    assert server.limits.entries_per_commit > 0


def test_logging_in_by_password_makes_the_client_somebody(server: Running) -> None:
    with Client(server.url) as stranger:
        assert stranger.whoami().user is None
        made = stranger.login("admin", PASSWORD, scope="read", token_name="a test")
        me = stranger.whoami()
        assert (me.user and me.user.name, me.scope.value) == ("admin", "read")
        assert made.token not in repr(stranger)
        stranger.logout()
        with pytest.raises(Unauthenticated):
            stranger.whoami()


def test_lists_are_fetched_page_by_page_as_they_are_read(client: Client, project: str, counting: Counting) -> None:
    for number in range(5):
        client.versions.create(f"dataset {number}", project=project)
    page = client.versions.page(project=project, limit=2, order="oldest")
    assert [row.name for row in page.rows] == ["dataset 0", "dataset 1"]
    second = client.versions.page(project=project, limit=2, order="oldest", cursor=page.next)
    assert [row.name for row in second.rows] == ["dataset 2", "dataset 3"]
    counting.calls.clear()
    rows = client.versions.list(project=project)
    assert not counting.calls
    assert len(list(rows)) == 5
    assert len(list(client.projects.datasets(project))) == 5


def test_records(client: Client, project: str, penguins: str) -> None:
    made = client.versions.create("other", project=project, tags=["x"], custom={"a": [1]}, alias="short")
    assert (made.tags, made.custom, made.alias, made.kind) == (["x"], {"a": [1]}, "short", Kind.FILES)
    with pytest.raises(NameTaken):
        client.versions.create("other", project=project)
    changed = client.versions.update(made, description="d", visibility=Visibility.LISTED, alias=None)
    assert (changed.description, changed.visibility, changed.alias, changed.tags) == ("d", "listed", None, ["x"])
    record, tag = client.versions.get_tagged(made)
    client.versions.update(record, if_match=tag, tags=["y"])
    with pytest.raises(PreconditionFailed):
        client.versions.update(record, if_match=tag, tags=["z"])
    assert client.versions.set_slug(made, "new-slug").slug == "new-slug"
    assert client.versions.get(f"{project}/new-slug").id == made.id
    assert client.resolve(made.id).ids["native"] == made.id
    assert client.datasets.get(penguins).versions[0].number == 1


def test_commits_and_history(client: Client, penguins: str) -> None:
    version = client.versions.get(penguins)
    upload = client.data.upload_bytes(b"new", "c.csv")
    done = client.versions.commit(
        version,
        [
            Add(op="add", path="c.csv", upload=upload, metadata="a note", condition="absent"),
            Rename(op="rename", source="raw", target="cooked", recursive=True),
            Describe(op="describe", path="a.csv", metadata="first"),
        ],
        expected=1,
        message="three at once",
    )
    assert (done.revision.number, done.revision.message) == (2, "three at once")
    with pytest.raises(StaleRevision) as caught:
        client.versions.commit(version, [Remove(op="remove", path="a.csv")], expected=1)
    assert caught.value.details["revision"] == 2
    with pytest.raises(EntryNotFound):
        client.versions.commit(version, [Remove(op="remove", path="never")])
    assert [row.name for row in client.versions.folder(version.id)] == ["a.csv", "c.csv", "cooked"]
    assert client.versions.entry(version.id, "c.csv").metadata == "a note"
    assert [row.number for row in client.versions.revisions(penguins)] == [2, 1, 0]
    assert client.versions.revision(penguins, 1).entries == 2
    changes = {(row.change, row.path) for row in client.versions.diff(penguins, 1, 2)}
    assert changes == {("added", "c.csv"), ("renamed", "cooked/b.csv"), ("changed", "a.csv")}
    assert client.versions.clear(penguins).revision.number == 3
    assert client.versions.restore(penguins, 1, expected=3).revision.entries == 2
    verbs = [event.verb for event in client.events.list(version=penguins)]
    assert "version.created" in verbs
    assert next(client.events.list()).verb


def test_copies_and_merges(client: Client, project: str, penguins: str) -> None:
    copy = client.versions.copy(penguins, name="copy", only_paths=["a.csv"])
    assert (copy.name, copy.entries) == ("copy", 1)
    assert client.versions.merge(copy, penguins).revision.entries >= 2
    again = client.versions.copy(penguins)
    assert (again.number, again.previous_version) == (2, 1)


def test_a_link_opens_for_anybody(client: Client, penguins: str) -> None:
    link = client.versions.link(penguins, "a.csv")
    assert httpx2.get(link.url).content == b"1\n"
    archive = client.versions.link(penguins, archive="zip")
    assert httpx2.get(archive.url).content[:2] == b"PK"


def test_reading(client: Client, penguins: str) -> None:
    assert client.data.read_bytes(f"{penguins}/a.csv") == b"1\n"
    assert client.data.read_range(penguins, 1, 2, "a.csv") == b"\n"
    with pytest.raises(TooLarge):
        client.data.read_bytes(penguins, "a.csv", max_size=1)
    with pytest.raises(Invalid, match="whole version"):
        client.data.read_bytes(penguins)
    with pytest.raises(Invalid, match="names a path already"):
        client.data.read_bytes(f"{penguins}/a.csv", "raw/b.csv")
    with pytest.raises(KindMismatch):
        client.data.read_bytes(client.projects.get(penguins.partition("/")[0]).id, "a.csv")
    pinned = client.datasets.pin(penguins)
    client.data.write(penguins, b"changed", "a.csv")
    assert client.data.read_bytes(pinned, "a.csv") == b"1\n"
    assert [page.revision for page in client.data.pages(pinned, limit=1)] == [1, 1]


def test_a_pin_is_written_as_people_write_it(client: Client, penguins: str) -> None:
    pin = client.datasets.pin(f"{penguins}/raw")
    assert pin.reference == f"{penguins}@1.1/raw"
    assert client.datasets.pin(pin.reference) == pin


def test_projects_and_collections(client: Client, project: str) -> None:
    made = client.collections.create(project, "field/2009")
    assert made.path == "field/2009"
    assert {row.path for row in client.collections.list(project)} >= {"", "field", "field/2009"}
    version = client.versions.create("there", project=project, collection="field/2009")
    assert version.collection_path == "field/2009"
    assert client.collections.rename(made.id, "field/2010").path == "field/2010"
    client.versions.update(version, collection="")
    client.collections.delete(made.id)
    with pytest.raises(NotFound):
        client.collections.get(made.id)
    assert client.projects.update(project, description="d").description == "d"
    assert client.projects.get(project).used_bytes == 0
    assert client.projects.trash(project).trash is not None
    assert client.projects.reinstate(client.projects.get(project).id).trash is None


def test_people(client: Client) -> None:
    ada = client.users.create("ada-lovelace", password="long enough", first_name="Ada")
    assert client.users.update("ada-lovelace", last_name="Lovelace").last_name == "Lovelace"
    assert client.users.person("ada-lovelace").first_name == "Ada"
    assert "ada-lovelace" in [user.name for user in client.users.list("ada-love")]
    client.users.set_password("another one", user="ada-lovelace")
    team = client.teams.create("Analysts")
    assert client.teams.set_member(team.id, ada.id, "write").role == "write"
    assert [member.user for member in client.teams.members("Analysts")] == ["ada-lovelace"]
    assert client.teams.rename(team.id, "Analysis").name == "Analysis"
    client.teams.remove_member(team.id, "ada-lovelace")
    token = client.tokens.create("t", scope="write", user="ada-lovelace", expires_in_s=60)
    assert client.tokens.get(token.id).name == "t"
    assert token.id in [row.id for row in client.tokens.list(user="ada-lovelace")]
    client.tokens.revoke(token.id)
    client.tokens.revoke(token.id)
    assert client.users.deactivate("ada-lovelace").active is False
    assert client.users.reactivate("ada-lovelace").active is True


def test_search_links_and_tasks(client: Client, project: str, penguins: str) -> None:
    client.versions.update(penguins, description="Pygoscelis measured in Antarctica")
    assert [row.version.slug for row in client.search("pygoscelis", project=project)] == ["penguins"]
    result = client.versions.create("result", project=project)
    edge = client.relationships.create(result, penguins, "derived_from", qualifiers={"tool": "x"})
    assert client.relationships.create(result, penguins, "derived_from", qualifiers={"tool": "x"}).id == edge.id
    assert client.relationships.get(edge.id).qualifiers == {"tool": "x"}
    assert [found.id for found in client.relationships.list(penguins, direction="in")] == [edge.id]
    assert {version.slug for version in client.relationships.graph(result).versions} == {"result", "penguins"}
    client.relationships.delete(edge.id)
    assert list(client.relationships.list(penguins)) == []
    assert list(client.tasks.list(version=penguins)) == []
    with pytest.raises(NotFound):
        client.tasks.get("task_" + "0" * 32)


def test_a_table_that_is_never_filled_is_waited_for_in_vain(client: Client, project: str) -> None:
    made = client.versions.create("t", project=project, kind=Kind.TABLE)
    with pytest.raises(Unavailable, match="empty"):
        client.versions.wait(made.id, timeout=0.01)


def test_a_push_of_ten_thousand_and_one_changes_is_still_one_revision(
    client: Client, project: str, tmp_path: Path
) -> None:
    """Above ten thousand the server is asked how many it takes at once."""
    content = os.urandom(8)
    tree = make_tree(tmp_path / "tree", {f"{n % 100}/{n}": content for n in range(10_001)})
    pushed = client.data.push(tree, f"{project}/huge")
    assert pushed.sent_files == 1
    assert pushed.version is not None
    assert (pushed.version.revision, pushed.version.entries) == (1, 10_001)
