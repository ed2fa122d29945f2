"""Looking after a project: what it is called, its rules, its collections, and its way to the trash and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot.depot import licences, projects, standings, teams
from entrepot.depot.context import Depot
from entrepot.depot.projects import KEEP, ProjectChanges
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, Forbidden, Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Project, Role
from entrepot.web import links
from entrepot.web.context import Asked, Form
from entrepot.web.routes.admin import Call
from entrepot.web.routes.projects import key

__all__ = ["ROUTES"]

_DAY_S: Final = 86_400


async def form(asked: Asked) -> None:
    await _form(asked)


async def _form(asked: Asked, sent: Form | None = None, wrong: str = "", status: int = 200) -> None:
    """The form, with what is stored, or with what was sent if that could not be taken."""
    wanted = key(asked.found["project"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = projects.get(depot, actor, wanted, action=Action.UPDATE_PROJECT)
        project, may = found.project, standings.of_project(actor, found)
        used = projects.usage(depot, actor, project.n)
        given = {
            "name": project.name,
            "slug": project.slug,
            "description": project.description,
            "licence": project.default_licence_name,
            "team": project.team_name,
            "expiry": _days(project.default_expiry_s),
            "retention": _days(project.retention_s),
        }
        if sent is not None:
            given = {name: sent.text(name, was) for name, was in given.items()}
        return {
            "section": "projects",
            "project": project,
            "given": given,
            "strict": project.settings.get("refuse_invalid") is True if sent is None else sent.flag("refuse_invalid"),
            "used": used,
            "may": {action.value: allowed for action, allowed in may.items()},
            "licences": licences.list_licences(depot, actor, limit=1000).rows,
            "teams": _owners(depot, actor, project),
            "collections": [
                one for one in projects.list_collections(depot, actor, project.n, limit=1000).rows if one.path
            ],
            "server_retention": depot.policy.trash_retention,
            "wrong": wrong,
        }

    await asked.page("edit_project.html", work, status=status)


def _owners(depot: Depot, actor: Actor, project: Project) -> list[str]:
    """Names of the teams it could be given to, its own among them."""
    if project.personal:
        return []
    found = teams.list_teams(depot, actor, limit=1000).rows
    names = [one.team.name for one in found if one.team.personal_of is None and _may_own(actor, one.role)]
    return sorted({project.team_name, *names})


def _may_own(actor: Actor, role: Role) -> bool:
    return actor.staff or role >= Role.WRITE


def _days(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds / _DAY_S:.6g}"


def _seconds(form: Form, name: str, what: str) -> int | None:
    """Days as people write them, in seconds; None if the field is empty."""
    text = form.text(name).strip().replace(",", ".")
    if not text:
        return None
    try:
        days = float(text)
        return round(days * _DAY_S)
    except (ValueError, OverflowError) as wrong:
        raise Invalid(f"{what} is a number of days, or empty; it cannot be {text[:40]!r}.") from wrong


async def change(asked: Asked) -> None:
    """Change it; what is wrong with the form is told on it, with everything that was typed."""
    sent, wanted = await asked.form(), key(asked.found["project"])

    def work(depot: Depot, actor: Actor) -> str:
        found = projects.get(depot, actor, wanted, action=Action.UPDATE_PROJECT)
        project = found.project
        if sent.text("seen") != project.updated_at.isoformat():
            raise Conflict(
                "Somebody else changed this project since you opened the form. What you see now is what you typed; "
                "look at the project in another window, then save this again."
            )
        rules: dict[str, Any] = {}
        if standings.of_project(actor, found)[Action.CONFIGURE_PROJECT]:
            rules = {
                "default_expiry_s": _seconds(sent, "expiry", "The life of new datasets"),
                "retention_s": _seconds(sent, "retention", "The time in the trash"),
                "settings": {**project.settings, "refuse_invalid": sent.flag("refuse_invalid")},
            }
            # What was rounded for people is not changed by looking at it.
            for name, field in (("default_expiry_s", "expiry"), ("retention_s", "retention")):
                if sent.text(field).strip() == _days(getattr(project, name)):
                    del rules[name]
            if not sent.flag("refuse_invalid") and "refuse_invalid" not in project.settings:
                del rules["settings"]
        team = sent.optional("team")
        changes = ProjectChanges(
            name=sent.text("name"),
            slug=sent.text("slug").strip() or KEEP,
            description=sent.lines("description"),
            default_licence=sent.optional("licence") or KEEP,
            team=KEEP if team is None or team == project.team_name else team,
            **rules,
        )
        return projects.update(depot, actor, project.n, changes).slug

    try:
        slug = await asked.call(work)
    except (Invalid, Conflict, Forbidden, NotFound) as refused:
        # Who may not change it at all is told that; everybody else, what is wrong, on the form.
        await _form(asked, sent, refused.message, 409 if isinstance(refused, Conflict) else 422)
        return
    await asked.go(links.project(slug), notice="project")


# The trash


async def trash_form(asked: Asked) -> None:
    """What throwing a project away means, before it is done."""
    wanted = key(asked.found["project"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = projects.get(depot, actor, wanted, action=Action.TRASH_PROJECT)
        return {
            "section": "projects",
            "project": found.project,
            "used": projects.usage(depot, actor, found.project.n),
            "may_return": standings.of_project(actor, found)[Action.REINSTATE_PROJECT],
        }

    await asked.page("trash_project.html", work)


async def throw(asked: Asked) -> None:
    await _do(asked, projects.trash, "project-trashed")


async def reinstate(asked: Asked) -> None:
    await _do(asked, projects.reinstate, "project-reinstated")


async def _do(asked: Asked, act: Callable[[Depot, Actor, Any], Project], notice: str) -> None:
    await asked.form()
    wanted = key(asked.found["project"])
    slug = await asked.call(lambda depot, actor: act(depot, actor, wanted).slug)
    await asked.go(links.project(slug), notice=notice)


async def purge(asked: Asked) -> None:
    """Remove an empty project for good, if its name is written out."""
    sent, wanted = await asked.form(), key(asked.found["project"])
    sure = sent.text("sure").strip()

    def work(depot: Depot, actor: Actor) -> None:
        project = projects.get(depot, actor, wanted, action=Action.PURGE_PROJECT).project
        if sure != project.name:
            raise Invalid(f"To remove it for good, write its name as it is here: {project.name}. Nothing was done.")
        projects.purge(depot, actor, project.n)

    await asked.call(work)
    await asked.go("/ui/projects", notice="project-purged")


# Collections


async def add_collection(asked: Asked) -> None:
    """Make a folder for datasets, with what is missing above it."""
    sent, wanted = await asked.form(), key(asked.found["project"])
    path = sent.text("called").strip().strip("/")
    if not path:
        raise Invalid("Say what the collection is called.")
    await asked.call(lambda depot, actor: projects.create_collection(depot, actor, wanted, path))
    await asked.go(_path(asked), notice="project")


async def change_collection(asked: Asked) -> None:
    """Call it something else, or remove it with the empty ones below it."""
    sent = await asked.form()
    uid = ids.decode(Noun.COLLECTION, sent.text("collection"))
    if sent.flag("remove"):
        await asked.call(lambda depot, actor: projects.delete_collection(depot, actor, uid))
    else:
        path = sent.text("called").strip().strip("/")
        if not path:
            raise Invalid("Say what the collection is to be called.")
        await asked.call(lambda depot, actor: projects.rename_collection(depot, actor, uid, path))
    await asked.go(_path(asked), notice="project")


def _path(asked: Asked) -> str:
    return links.to(f"/ui/edit-project/{asked.found['project']}")


_BASE: Final = "/edit-project/{project}"
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    _BASE: {"GET": form, "POST": change},
    f"{_BASE}/trash": {"GET": trash_form, "POST": throw},
    f"{_BASE}/reinstate": {"POST": reinstate},
    f"{_BASE}/purge": {"POST": purge},
    f"{_BASE}/new-collection": {"POST": add_collection},
    f"{_BASE}/collection": {"POST": change_collection},
}
