"""Projects, teams, webhooks and records of versions, changed in the browser: by whom, and what failures are told."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest

from entrepot.depot import projects, webhooks
from entrepot.depot.projects import ProjectChanges
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.webhooks import Retries
from entrepot.web.app import ROUTES
from tests.support.browsing import Premises, Visitor, plain
from tests.support.receivers import BROKEN, OK, Receiver, work_off

HOSTILE = "<script>alert(1)</script>\"'"


def fields(page: str) -> dict[str, str]:
    """What the form of a project holds."""
    found = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    found |= dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    kept = ("seen", "name", "slug", "expiry", "retention")
    return {name: html.unescape(value) for name, value in found.items() if name in kept}


def new_project(premises: Premises, name: str, **more: Any) -> str:
    """The address of the form of a new project of the team."""
    led = premises.chief.done("/ui/new-project", name=name, team="ornithology", **more)
    return led.replace("/projects/", "/edit-project/")


# Projects


def test_an_admin_changes_a_project_and_its_rules(premises: Premises) -> None:
    at = new_project(premises, "To be kept")
    page = premises.chief.page(at)
    given = fields(page)
    assert (given["name"], given["slug"], given["expiry"]) == ("To be kept", "to-be-kept", "")
    led = premises.chief.done(
        at, **{**given, "name": HOSTILE, "slug": "kept", "description": "a\r\nb", "expiry": "30", "retention": "1,5"},
        refuse_invalid="1", licence="MIT" if 'value="MIT"' in page else "Proprietary",
    )  # fmt: skip
    assert led == "/ui/projects/kept"
    assert HOSTILE not in premises.chief.page(led)
    found = projects.get(premises.depot, premises.site.world.login("chief"), "kept").project
    assert (found.default_expiry_s, found.retention_s, found.settings["refuse_invalid"]) == (30 * 86400, 129600, True)
    assert (found.description, found.slug) == ("a\nb", "kept")
    again = fields(premises.chief.page("/ui/edit-project/kept"))
    assert (again["expiry"], again["retention"]) == ("30", "1.5")
    premises.chief.done("/ui/edit-project/kept", **{**again, "name": "Kept", "expiry": ""})
    found = projects.get(premises.depot, premises.site.world.login("chief"), "kept").project
    assert (found.default_expiry_s, found.retention_s, found.settings["refuse_invalid"]) == (None, 129600, False)


def test_a_writer_changes_what_a_project_is_called_and_not_its_rules(premises: Premises) -> None:
    at = new_project(premises, "Half mine")
    projects.update(
        premises.depot, premises.site.world.login("chief"), "half-mine", ProjectChanges(default_expiry_s=3600)
    )
    page = premises.writer.page(at)
    assert "Rules about expiry and the trash are for admins" in plain(page)
    premises.writer.done(at, **fields(page) | {"name": "Half yours", "expiry": "1"})
    found = projects.get(premises.depot, premises.site.world.login("chief"), "half-mine").project
    assert (found.name, found.default_expiry_s) == ("Half yours", 3600)
    assert premises.reader.get(at).status_code == 403
    assert premises.reader.send(at, **fields(page)).status_code == 403
    assert premises.outsider.get(at).status_code == 404
    assert "Change" not in premises.reader.text("/ui/projects/half-mine")


def test_what_is_wrong_with_a_projects_form_is_told_on_it_and_nothing_typed_is_lost(premises: Premises) -> None:
    at = new_project(premises, "Careful")
    given = fields(premises.chief.page(at))
    for bad, said in (
        ({"expiry": "soon"}, "is a number of days"),
        ({"slug": "birds"}, "belongs to another project"),
        ({"seen": "2000-01-01T00:00:00+00:00"}, "Somebody else changed this project"),
        ({"retention": "-1"}, "a time in seconds"),
        ({"expiry": "1e400"}, "is a number of days"),
    ):
        answer = premises.chief.send(at, **{**given, "description": "Typed for long", **bad})
        assert answer.status_code in (409, 422)
        assert said in plain(answer.text)
        assert "Typed for long" in answer.text


def test_a_project_is_thrown_away_and_put_back(premises: Premises) -> None:
    at = new_project(premises, "Passing by")
    premises.api.version("inside", project="passing-by")
    assert "All of its datasets go with it" in premises.writer.text(f"{at}/trash")
    assert premises.reader.get(f"{at}/trash").status_code == 403
    led = premises.writer.done(f"{at}/trash")
    assert "was moved to the trash" in premises.writer.text(led)
    assert "Put it back" not in premises.writer.text(led)
    assert "Put back the project Passing by" in premises.chief.page("/ui/trash")
    assert "with its project" in premises.chief.text("/ui/trash")
    full = premises.chief.send(f"{at}/purge", sure="Passing by")
    assert (full.status_code, "still holds datasets" in plain(full.text)) == (409, True)
    assert premises.writer.send(f"{at}/reinstate").status_code == 403
    premises.chief.done(f"{at}/reinstate")
    assert "This project was moved" not in premises.chief.text(led)


def test_an_empty_project_is_removed_for_good(premises: Premises) -> None:
    at = new_project(premises, "Mistaken")
    premises.chief.done(f"{at}/trash")
    assert premises.chief.send(f"{at}/purge", sure="mistaken").status_code == 422
    assert premises.chief.done(f"{at}/purge", sure="Mistaken") == "/ui/projects"
    assert premises.chief.get("/ui/projects/mistaken").status_code == 404


def test_collections_are_made_renamed_and_removed(premises: Premises) -> None:
    at = new_project(premises, "In drawers")
    writer = premises.writer
    writer.done(f"{at}/new-collection", called="/left/upper/")
    page = writer.page(at)
    (uid,) = re.findall(
        r'name="collection" value="([^"]+)"[^>]*>(?:(?!name="collection").)*?value="left/upper"', page, re.S
    )
    writer.done(f"{at}/collection", collection=uid, called="left/lower")
    assert "left/lower" in writer.page("/ui/projects/in-drawers")
    made = premises.api.version("filed", project="in-drawers", collection="left/lower")
    assert writer.send(f"{at}/collection", collection=uid, remove="1").status_code == 409
    premises.api.delete(f"/versions/{made}")
    premises.chief.done(f"/ui/versions/{made}/purge", sure="filed")
    writer.done(f"{at}/collection", collection=uid, remove="1")
    assert "left/lower" not in writer.page(at)
    assert premises.reader.send(f"{at}/new-collection", called="x").status_code == 403
    assert writer.send(f"{at}/new-collection", called=" / ").status_code == 422


# Teams


def test_a_team_is_renamed_thrown_away_and_comes_back_empty(premises: Premises) -> None:
    staff = premises.staff
    at = staff.done("/ui/teams", name="Egg counters")
    (uid,) = set(re.findall(r'name="team" value="(team_[0-9a-f]+)"', staff.page(at)))
    staff.done("/ui/team/member", team=uid, user="chief", role="admin")
    chief = premises.chief
    assert chief.done("/ui/team/name", team=uid, name="Nest counters") == "/ui/team?name=Nest%20counters"
    taken = chief.send("/ui/team/name", team=uid, name="ornithology")
    assert (taken.status_code, "already a team named ornithology" in plain(taken.text)) == (409, True)
    assert "Move the team to the trash" in chief.text("/ui/team?name=Nest counters")
    assert chief.done("/ui/team/trash", team=uid) == "/ui/teams"
    assert "Nest counters" not in chief.text("/ui/teams")
    assert "Nest counters" in staff.text("/ui/teams")
    page = staff.text(f"/ui/team?name={uid}")
    assert "Put it back" in page
    assert "Remove the team for good" in page
    staff.done("/ui/team/reinstate", team=uid)
    assert "Nobody is in this team" in staff.text(f"/ui/team?name={uid}")
    staff.done("/ui/team/trash", team=uid)
    assert staff.done("/ui/team/purge", team=uid) == "/ui/teams"
    assert staff.get(f"/ui/team?name={uid}").status_code == 404


def test_a_team_with_projects_is_not_removed_and_says_why(premises: Premises) -> None:
    at = premises.staff.done("/ui/teams", name="Full hands")
    premises.staff.done("/ui/new-project", name="Held", team="Full hands")
    (uid,) = set(re.findall(r'name="team" value="(team_[0-9a-f]+)"', premises.staff.page(at)))
    premises.staff.done("/ui/team/trash", team=uid)
    answer = premises.staff.send("/ui/team/purge", team=uid)
    assert (answer.status_code, "still owns projects" in plain(answer.text)) == (409, True)


@pytest.mark.parametrize("deed", ["name", "trash", "reinstate", "purge"])
def test_teams_are_their_admins_to_change(premises: Premises, deed: str) -> None:
    for who, status in (("writer", 403), ("outsider", 404)):
        assert premises.people[who].send(f"/ui/team/{deed}", team="ornithology", name="Mine").status_code == status
    assert premises.staff.request("POST", f"/ui/team/{deed}", data={"team": "ornithology"}).status_code == 403
    assert "Move the team to the trash" not in premises.writer.text("/ui/team?name=ornithology")


def test_who_leaves_a_team_is_led_to_the_others(premises: Premises) -> None:
    premises.staff.done("/ui/teams", name="Short stay")
    premises.staff.done("/ui/team/member", team="Short stay", user="chief", role="admin")
    assert premises.chief.done("/ui/team/member", team="Short stay", user="chief", role="remove") == "/ui/teams"
    wrong = premises.staff.send("/ui/team/member", team="Short stay", user="nobody-at-all", role="read")
    assert (wrong.status_code, "nobody-at-all" in plain(wrong.text)) == (422, True)


# Records of versions


def test_the_rest_of_a_record_is_changed_in_the_browser(premises: Premises) -> None:
    made = premises.version({"a.txt": b"1"}, name="Filed away")
    at = f"/ui/versions/{made}/edit"
    same = {"name": "Filed away", "description": "", "tags": "", "licence": "Proprietary", "visibility": "private"}
    assert "More: another name, an end, metadata" in premises.writer.text(at)
    more = {
        "collection": "in/here",
        "alias": "best",
        "custom": '{"depth": [1, {"m": "2 <b>"}]}',
        "expires": "2099-12-31",
    }
    premises.writer.done(at, **same, **more, expires_was="")
    told = premises.api.read(f"/versions/{made}")
    assert (told["alias"], told["custom"], told["collection_path"]) == (
        "best",
        {"depth": [1, {"m": "2 <b>"}]},
        "in/here",
    )
    assert told["expires_at"].startswith("2099-12-31T23:59:59")
    page = premises.writer.page(at)
    assert 'value="2099-12-31"' in page
    assert "2 &lt;b&gt;" in page
    # A form that leaves the day as it is leaves the time as it is.
    premises.writer.done(at, **same, **{**more, "custom": "", "alias": ""}, expires_was="2099-12-31")
    told = premises.api.read(f"/versions/{made}")
    assert (told["alias"], told["custom"], told["expires_at"][:10]) == (None, {}, "2099-12-31")
    premises.writer.done(at, **same, expires="", expires_was="2099-12-31")
    assert premises.api.read(f"/versions/{made}")["expires_at"] is None
    for bad in ({"custom": "[1]"}, {"custom": "{nonsense"}, {"expires": "tomorrow"}):
        assert premises.writer.send(at, **same, **bad, expires_was="").status_code == 422
    assert premises.reader.get(at).status_code == 403
    assert premises.reader.get(f"/ui/versions/{made}/trash").status_code == 403


def test_the_trash_says_when_it_is_emptied(premises: Premises) -> None:
    new_project(premises, "Forgetful")
    chief = premises.site.world.login("chief")
    made = premises.api.version("Fading", project="forgetful")
    premises.writer.done(f"/ui/versions/{made}/trash")
    assert "It stays there until somebody removes it for good" in premises.writer.text(f"/ui/versions/{made}")
    ten_days = int(timedelta(days=10).total_seconds())
    projects.update(premises.depot, chief, "forgetful", ProjectChanges(retention_s=ten_days))
    assert "It is removed for good in 10 days" in premises.writer.text(f"/ui/versions/{made}")
    assert "Removed for good in 10 days" in premises.writer.text("/ui/trash")


# Webhooks


@pytest.fixture
def receiver(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    made = Receiver()
    monkeypatch.setattr(premises.depot, "courier", made)
    return made


def new_webhook(premises: Premises, **more: str) -> tuple[str, str]:
    """The address of a webhook's page, and the secret that was shown."""
    form = {"project": "birds", "name": "Pipeline", "endpoint": "https://example.org/hook", **more}
    answer = premises.chief.send("/ui/webhooks", **form)
    assert answer.status_code == 200, plain(answer.text)
    secret = re.search(r'class="secret"[^>]*>([^<]+)<', answer.text)
    found = re.search(r'action="(/ui/webhooks/webhook_[0-9a-f]+)/test"', answer.text)
    assert secret is not None
    assert found is not None
    return found[1], html.unescape(secret[1])


def test_a_webhook_is_made_tested_looked_after_and_removed(premises: Premises, receiver: Receiver) -> None:
    at, secret = new_webhook(premises, everything="1", name="Whole way")
    chief = premises.chief
    assert secret not in chief.page(at), "it is shown once"
    assert "Whole way" in chief.text("/ui/webhooks?project=birds")
    assert "webhook.created waiting none yet" in chief.text(at), "it is told of its own making"
    assert chief.done(f"{at}/test") == at
    assert "webhook.test waiting" in chief.text(at)
    work_off(premises.depot)
    page = chief.text(at)
    assert "webhook.test delivered 200" in page
    delivery = re.findall(rf'href="{at}/deliveries/(dlv_[0-9a-f]+)">webhook\.test<', chief.page(at))[0]
    one = chief.text(f"{at}/deliveries/{delivery}")
    assert "thanks" in one
    assert "Attempts 1" in one
    assert chief.done(f"{at}/deliveries/{delivery}/replay") == at
    work_off(premises.depot)
    assert [got.kind for got in receiver.got].count("webhook.test") == 2
    fresh = chief.send(f"{at}/secret").text
    shown = re.search(r'class="secret"[^>]*>([^<]+)<', fresh)
    assert shown is not None
    assert html.unescape(shown[1]) != secret
    assert chief.done(f"{at}/delete") == "/ui/webhooks?project=birds"
    assert chief.get(at).status_code == 404


def test_what_failed_is_shown_and_sent_again(premises: Premises, receiver: Receiver) -> None:
    receiver.answers = lambda _got: BROKEN
    at, _ = new_webhook(premises, exact="version.created", name="Unlucky")
    actor = premises.site.world.login("chief")
    webhooks.update(
        premises.depot,
        actor,
        ids.decode(Noun.WEBHOOK, at.rpartition("/")[2]),
        webhooks.WebhookChanges(retries=Retries(0, 0)),
    )
    premises.version()
    work_off(premises.depot)
    page = premises.chief.text(f"{at}?state=failed")
    assert "version.created given up 500" in page
    assert "could not be made" in page
    assert "None is in this state" in premises.chief.text(f"{at}?state=delivered")
    assert premises.chief.get(f"{at}?state=odd").status_code == 422
    receiver.answers = lambda _got: OK
    premises.chief.done(f"{at}/replay", since="hour")
    work_off(premises.depot)
    assert "version.created delivered 200" in premises.chief.text(at)
    premises.chief.done(f"{at}/replay", since="day")
    assert "There is nothing to send again" in premises.chief.text(at)
    assert premises.chief.send(f"{at}/replay", since="ever").status_code == 422
    premises.chief.done(f"{at}/delete")


def test_a_webhooks_form_keeps_what_was_typed_and_says_what_is_wrong(premises: Premises, receiver: Receiver) -> None:
    for bad, said in (
        ({"endpoint": "nowhere"}, "The endpoint "),
        ({"exact": "user.created"}, "No project is told of events user"),
        ({"name": ""}, "name"),
    ):
        form = {"project": "birds", "name": "Kept as typed", "endpoint": "https://example.org/kept", **bad}
        answer = premises.chief.send("/ui/webhooks", **form)
        assert answer.status_code == 422
        assert said in plain(answer.text)
        assert "example.org/kept" in answer.text or "Kept as typed" in answer.text
    at, _ = new_webhook(premises, **{"family-version": "1", "exact": "task.ended, revision.created", "name": HOSTILE})
    page = premises.chief.page(at)
    assert HOSTILE not in page
    assert re.search(r'name="family-version" value="1" checked', page)
    assert 'value="task.ended revision.created"' in page
    changed = {"name": "Renamed", "endpoint": "https://example.org/other", "everything": "1"}
    premises.chief.done(at, **changed)
    assert "switched off" in premises.chief.text(at)
    answer = premises.chief.send(at, **{**changed, "endpoint": "gopher://x"})
    assert (answer.status_code, "gopher://x" in answer.text) == (422, True)
    premises.chief.done(f"{at}/delete")


def test_webhooks_are_for_the_teams_admins(premises: Premises, receiver: Receiver) -> None:
    at, _ = new_webhook(premises, everything="1", name="Only ours")
    assert "/ui/webhooks" in premises.chief.page("/ui/projects/birds")
    assert "/ui/webhooks" not in premises.writer.page("/ui/projects/birds")
    (delivery,) = [ids.encode(Noun.DELIVERY, webhooks.test(
        premises.depot, premises.site.world.login("chief"), ids.decode(Noun.WEBHOOK, at.rpartition("/")[2])
    ).uid)]  # fmt: skip
    known = {"webhook": at.rpartition("/")[2], "delivery": delivery}
    for path, calls in ROUTES.items():
        if not path.startswith("/webhooks"):
            continue
        where = "/ui" + path.format(**known)
        for who, status in (("writer", 403), ("outsider", 404)):
            visitor = premises.people[who]
            if "GET" in calls:
                assert visitor.get(where, params={"project": "birds"}).status_code == status, (where, who)
            if "POST" in calls:
                form = {"project": "birds", "name": "x", "endpoint": "https://example.org", "since": "hour"}
                assert visitor.send(where, **form).status_code == status, (where, who)
                assert premises.chief.request("POST", where, data=form).status_code == 403, where
    premises.chief.done(f"{at}/delete")


def test_a_server_that_sends_nothing_says_so(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(premises.depot, "courier", None)
    page = premises.chief.text("/ui/webhooks?project=birds")
    assert "This server sends nothing to webhooks" in page
    assert "New webhook" not in page


# Nothing of it for anybody else

FORMS = [
    path
    for path, calls in ROUTES.items()
    if "POST" in calls
    and path != "/versions/{version}/upload"
    and path.startswith(("/edit-project", "/team", "/webhooks", "/versions"))
]


@pytest.mark.parametrize("path", FORMS)
def test_no_form_is_taken_from_another_site_or_without_its_token(premises: Premises, path: str) -> None:
    known = dict.fromkeys(("project", "webhook", "delivery", "version", "task"), "x")
    where = "/ui" + path.format(**known)
    chief: Visitor = premises.chief
    assert chief.request("POST", where, data={"a": "b"}).status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert chief.request("POST", where, data={"csrf": chief.token()}, headers=evil).status_code == 403
