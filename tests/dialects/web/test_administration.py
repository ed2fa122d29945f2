"""What administrators see and do, and that nobody else is told that there is anything."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest

from entrepot.catalog.connection import Connection
from entrepot.catalog.queue import enqueue
from entrepot.depot import projects, sessions, users
from entrepot.depot.projects import ProjectChanges
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import User
from entrepot.web.app import ROUTES
from tests.support.browsing import Premises, Visitor, plain
from tests.support.identity import ADMIN_PASSWORD

HOSTILE = "<script>alert(1)</script>\"'"
PAGES = [path.replace("{project}", "birds") for path, calls in ROUTES.items() if path.startswith("/admin")]


def user(premises: Premises, name: str) -> User:
    found = users.get(premises.depot, premises.site.world.login("admin", ADMIN_PASSWORD), name)
    assert isinstance(found, User)
    return found


def page_of(premises: Premises, name: str) -> str:
    return f"/ui/admin/users/{ids.encode(Noun.USER, user(premises, name).uid)}"


def job(premises: Premises, kind: str = "nothing", *, shown: bool = True) -> str:
    """A job that nothing runs."""
    depot, uid = premises.depot, premises.depot.new_uid()

    def work(conn: Connection) -> None:
        enqueue(conn, uid=uid, queue="ingest", kind=kind, payload={}, now=depot.now(), shown=shown)

    depot.catalog.write(work)
    return ids.encode(Noun.TASK, uid)


# Who may


@pytest.mark.parametrize("path", PAGES)
def test_nobody_else_is_told_of_these_pages(premises: Premises, path: str) -> None:
    calls = ROUTES[path.replace("birds", "{project}")]
    path = "/ui" + path.replace("{user}", ids.encode(Noun.USER, user(premises, "reader").uid))
    path = path.replace("{job}", ids.encode(Noun.TASK, UUID(int=1)))
    if "GET" in calls:
        assert premises.chief.get(path).status_code == 404
        assert premises.stranger.get(path).headers["location"].startswith("/ui/sign-in?next=%2Fui%2Fadmin")
    if "POST" in calls:
        form = {"name": "made-by-chief", "password": "long enough", "active": "0", "amount": "1", "unit": "GiB"}
        assert premises.chief.send(path, **form).status_code == 404
        for wrong in ({}, {"csrf": "0" * 64}, {"csrf": premises.chief.token()}):
            assert premises.staff.request("POST", path, data={"a": "b", **form, **wrong}).status_code == 403
        evil = {"Origin": "https://evil.example"}
        csrf = premises.staff.token()
        assert premises.staff.request("POST", path, data={"csrf": csrf, **form}, headers=evil).status_code == 403


def test_only_administrators_are_shown_the_way(premises: Premises) -> None:
    assert 'href="/ui/admin"' in premises.staff.page("/ui/")
    assert 'href="/ui/admin"' not in premises.chief.page("/ui/")


# Overview


def test_the_overview_says_how_the_house_is(premises: Premises) -> None:
    premises.version({"a.txt": b"hello"})
    said = premises.staff.text("/ui/admin")
    assert "bytes can be written durably and read back" in said
    assert "GiB free" in said
    assert "Damaged none known" in said
    assert re.search(r"Read since they arrived 0 0 of \d+", said)
    assert "These pages open" in said


def test_the_overview_names_what_failed_and_what_waits(premises: Premises) -> None:
    depot = premises.depot
    job(premises)
    failed = job(premises, HOSTILE)

    def fail(conn: Connection) -> None:
        error = '{"code": "corrupt", "detail": "<b>disk</b> is odd"}'
        conn.exec_driver_sql(
            "UPDATE job SET state = 'failed', error = ?, ended_at = created_at WHERE uid = ?",
            (error, ids.decode(Noun.TASK, failed).bytes),
        )

    depot.catalog.write(fail)
    page = premises.staff.page("/ui/admin")
    assert "<b>disk" not in page
    assert HOSTILE not in page
    assert f"/ui/admin/jobs/{failed}" in page
    said = plain(page)
    assert "<b>disk</b> is odd" in said
    assert "ingest waiting" in said
    one = premises.staff.text(f"/ui/admin/jobs/{failed}")
    assert "Why it failed <b>disk</b> is odd" in one
    assert "Ask it to stop" not in one


def test_looking_at_what_collection_would_free_changes_nothing(premises: Premises) -> None:
    before = premises.staff.text("/ui/admin/collection")
    assert "Deleted at its next run 0 B in 0 objects" in before
    assert premises.staff.text("/ui/admin/collection") == before


# Jobs


def test_jobs_are_found_by_state_and_queue_and_can_be_stopped(premises: Premises) -> None:
    one, clock = job(premises, "walk"), job(premises, "tick", shown=False)
    listed = premises.staff.page("/ui/admin/jobs?state=ready&queue=ingest")
    assert one in listed
    assert clock not in listed
    assert clock in premises.staff.page("/ui/admin/jobs?all=1")
    assert one not in premises.staff.page("/ui/admin/jobs?state=failed")
    assert premises.staff.get("/ui/admin/jobs?state=odd").status_code == 422
    assert premises.staff.done(f"/ui/admin/jobs/{one}/cancel") == f"/ui/admin/jobs/{one}"
    assert "cancelled" in premises.staff.text(f"/ui/admin/jobs/{one}")
    # What comes by the clock is nobody's to stop.
    assert premises.staff.send(f"/ui/admin/jobs/{clock}/cancel").status_code == 404
    assert premises.staff.get(f"/ui/admin/jobs/{ids.encode(Noun.TASK, UUID(int=7))}").status_code == 404


# Users


def test_an_account_is_made_and_signs_in(premises: Premises) -> None:
    where = premises.staff.done(
        "/ui/admin/users", name="newcomer", password="first password", email="n@example.org", first_name=HOSTILE
    )
    page = premises.staff.page(where)
    assert HOSTILE not in page
    assert "Created." in page
    Visitor(premises.site).sign_in("newcomer", "first password")
    assert "newcomer" in premises.staff.text("/ui/admin/users?who=newco")
    assert "newcomer" not in premises.staff.text("/ui/admin/users?who=n-body").replace("contains", "")


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"name": "reader"}, 409), ({"name": "a b/c\x07"}, 422), ({"name": "fresh", "password": "short"}, 422)],
)
def test_what_is_wrong_with_a_new_account_is_told_on_the_form(
    premises: Premises, wrong: dict[str, str], status: int
) -> None:
    answer = premises.staff.send("/ui/admin/users", **{"password": "secret password", "last_name": HOSTILE, **wrong})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "&lt;script&gt;" in answer.text
    assert HOSTILE not in answer.text
    assert "secret password" not in answer.text
    assert 'action="/ui/admin/users"' in answer.text


def test_an_account_is_changed_closed_and_opened(premises: Premises) -> None:
    premises.site.world.user("leaver")
    leaver, where = Visitor(premises.site).sign_in("leaver"), page_of(premises, "leaver")
    premises.staff.done(where, email="l@example.org", first_name="Lea", last_name="Ver", staff="1")
    assert (user(premises, "leaver").is_staff, user(premises, "leaver").first_name) == (True, "Lea")
    premises.staff.done(where, email="l@example.org", first_name="Lea", last_name="Ver")
    assert user(premises, "leaver").is_staff is False
    premises.staff.done(f"{where}/active", active="0")
    assert leaver.get("/ui/projects").status_code == 303
    assert "closed" in premises.staff.text(where)
    premises.staff.done(f"{where}/active", active="1")
    Visitor(premises.site).sign_in("leaver")


def test_the_last_administrator_stays_one(premises: Premises) -> None:
    where = page_of(premises, "admin")
    for path, form in ((where, {"email": "admin@localhost"}), (f"{where}/active", {"active": "0"})):
        answer = premises.staff.send(path, **form)
        assert answer.status_code == 409
        assert "only active staff" in plain(answer.text)
    assert user(premises, "admin").is_staff


def test_a_new_password_ends_the_sessions_of_the_old_one(premises: Premises) -> None:
    premises.site.world.user("loser")
    loser, where = Visitor(premises.site).sign_in("loser"), page_of(premises, "loser")
    assert premises.staff.send(f"{where}/password", password="short").status_code == 422
    assert loser.get("/ui/projects").status_code == 200
    premises.staff.done(f"{where}/password", password="another password")
    assert loser.get("/ui/projects").status_code == 303
    Visitor(premises.site).sign_in("loser", "another password")


def test_sessions_are_ended_one_by_one_and_all_at_once(premises: Premises) -> None:
    premises.site.world.user("roamer")
    where = page_of(premises, "roamer")
    first, second = Visitor(premises.site).sign_in("roamer"), Visitor(premises.site).sign_in("roamer")
    one = sessions.list_sessions(premises.depot, premises.site.world.login("roamer"))[0].id
    premises.staff.done(f"{where}/sessions", session=one)
    assert sorted((first.get("/ui/projects").status_code, second.get("/ui/projects").status_code)) == [200, 303]
    premises.staff.done(f"{where}/sessions")
    assert {first.get("/ui/projects").status_code, second.get("/ui/projects").status_code} == {303}
    assert "No browser is signed in as roamer" in premises.staff.text(where)


# Storage


def test_storage_is_told_by_project_and_room_is_given(premises: Premises) -> None:
    premises.version({"a.txt": b"x" * 3000})
    said = premises.staff.text("/ui/admin/storage")
    assert re.search(r"Birds birds · team ornithology [\d.]+ KiB", said)
    where = "/ui/admin/storage/birds"
    assert premises.staff.done(where, amount="1,5", unit="GiB") == "/ui/admin/storage"
    page = premises.staff.page("/ui/admin/storage")
    assert '<meter min="0" max="1610612736"' in page
    assert "0 % used" in plain(page)
    assert 'value="1.5"' in premises.staff.page(where)
    answer = premises.staff.send(where, amount="<b>", unit="GiB")
    assert (answer.status_code, "<b>" in answer.text.partition("<form")[2].partition("<footer")[0]) == (422, False)
    assert premises.staff.send(where, amount="NaN", unit="GiB").status_code == 422
    premises.staff.done(where, amount="", unit="GiB")
    whole = premises.site.world.login("admin", ADMIN_PASSWORD)
    assert projects.get(premises.depot, whole, "birds").project.allocation is None
    projects.update(premises.depot, whole, "birds", ProjectChanges(name=f"Birds {HOSTILE}"))
    assert HOSTILE not in premises.staff.page("/ui/admin/storage")
    projects.update(premises.depot, whole, "birds", ProjectChanges(name="Birds"))


# The log


def test_the_log_is_searched_by_who_what_and_when(premises: Premises) -> None:
    def said(query: str) -> str:
        return premises.staff.page(f"/ui/admin/log?{query}").partition("<tbody>")[2]

    made = said("who=writer&what=project")
    assert "project.created" in made
    assert "login.succeeded" not in made
    assert "login.succeeded" in said("who=writer&what=login")
    assert said("who=nobody-of-that-name") == ""
    today = premises.depot.now().date().isoformat()
    assert "project.created" in said(f"what=project.created&since={today}&until={today}")
    assert said("until=2001-01-01") == ""
    for wrong in ("since=yesterday", "what=odd", "until=0000-00-00", "cursor=odd"):
        assert premises.staff.get(f"/ui/admin/log?{wrong}").status_code in (400, 422)


def test_the_log_can_be_taken_along_as_json(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    from entrepot.web.routes import admin_log

    # As if it were longer than one block.
    monkeypatch.setattr(admin_log, "_BLOCK", 3)
    answer = premises.staff.get("/ui/admin/log.json?what=login")
    assert answer.headers["content-disposition"] == 'attachment; filename="entrepot-log.json"'
    told = answer.json()
    assert len(told) > 3
    assert {one["verb"] for one in told} <= {"login.succeeded", "login.failed"}
    assert [one["n"] for one in told] == sorted((one["n"] for one in told), reverse=True)
    assert premises.staff.get("/ui/admin/log.json?until=2001-01-01").json() == []
    assert json.loads(premises.staff.get("/ui/admin/log.json").text)
