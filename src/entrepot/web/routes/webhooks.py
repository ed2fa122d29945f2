"""Webhooks of a project in the browser: made, tested, looked after; for admins of the team that owns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from entrepot.depot import deliveries, projects, webhooks
from entrepot.depot.context import Depot
from entrepot.depot.webhooks import MadeWebhook, NewWebhook, WebhookChanges
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.ids import Noun
from entrepot.model.values import Project
from entrepot.model.webhooks import FAMILIES, DeliveryState, Webhook
from entrepot.web import links
from entrepot.web.context import Asked, Form
from entrepot.web.routes.admin import Call
from entrepot.web.routes.projects import key as project_key

__all__ = ["ROUTES"]

_PAGE: Final = 50
#: How far back a replay of many goes.
_SINCE: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
#: What each family of events tells, for people.
_SAID: Final[Mapping[str, str]] = {
    "project": "the project: changed, thrown away, put back",
    "version": "versions: made, ready, described, frozen, copied, thrown away",
    "revision": "new revisions: files came, changed or went",
    "relationship": "provenance: links made and removed",
    "task": "tasks that ended",
    "member": "members of the team: added, changed, removed",
    "webhook": "the project's webhooks themselves",
}


@dataclass(frozen=True, slots=True)
class _Given:
    """What the form of a webhook holds."""

    name: str = ""
    endpoint: str = ""
    everything: bool = True
    families: Sequence[str] = ()
    exact: str = ""
    enabled: bool = True


def _given(hook: Webhook) -> _Given:
    families = [one for one in FAMILIES if f"{one}.*" in hook.events]
    exact = [one for one in hook.events if one != "*" and not one.endswith(".*")]
    return _Given(hook.name, hook.endpoint, "*" in hook.events, families, " ".join(exact), hook.enabled)


def _sent(form: Form) -> _Given:
    return _Given(
        form.text("name").strip(),
        form.text("endpoint").strip(),
        form.flag("everything"),
        [one for one in FAMILIES if form.flag(f"family-{one}")],
        form.text("exact").strip(),
        form.flag("enabled"),
    )


def _events(given: _Given) -> list[str]:
    if given.everything:
        return ["*"]
    return [*(f"{one}.*" for one in given.families), *given.exact.replace(",", " ").split()]


def _base(depot: Depot, project: Project) -> dict[str, Any]:
    return {
        "section": "projects",
        "project": project,
        "families": [(one, _SAID[one]) for one in FAMILIES],
        "sends": depot.courier is not None,
        "wrong": "",
        "fresh": None,
    }


# The webhooks of a project


async def list_(asked: Asked) -> None:
    await _list(asked, asked.text("project"), _Given())


async def _list(asked: Asked, wanted: str | None, given: _Given, wrong: str = "", status: int = 200) -> None:
    if wanted is None:
        raise NotFound("Name the project whose webhooks you want to see: its page leads here.")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        project = projects.get(depot, actor, project_key(wanted), action=Action.MANAGE_WEBHOOKS).project
        page = webhooks.list_webhooks(depot, actor, project.n, cursor=asked.text("cursor"), limit=_PAGE)
        return _base(depot, project) | {
            "page": page,
            "given": given,
            "wrong": wrong,
            "here_url": links.to("/ui/webhooks", project=project.slug),
        }

    await asked.page("webhooks.html", work, status=status)


async def create(asked: Asked) -> None:
    """Make one. Its secret is on the page that answers, this once."""
    form = await asked.form()
    wanted, given = form.optional("project"), _sent(form)
    if wanted is None:
        raise Invalid("Say in which project. Nothing was done.")

    def work(depot: Depot, actor: Actor) -> MadeWebhook:
        new = NewWebhook(given.name, given.endpoint, events=_events(given))
        return webhooks.create(depot, actor, project_key(wanted), new)

    try:
        made = await asked.call(work)
    except (Invalid, Conflict, TooLarge, Unsupported) as refused:
        await _list(asked, wanted, given, refused.message, 422)
        return
    await _show(asked, made.webhook.uid, fresh=made.secret)


# One of them


async def show(asked: Asked) -> None:
    await _show(asked, _uid(asked))


def _uid(asked: Asked) -> Any:
    return ids.decode(Noun.WEBHOOK, asked.found["webhook"])


async def _show(
    asked: Asked,
    uid: Any,
    *,
    fresh: str | None = None,
    given: _Given | None = None,
    wrong: str = "",
    status: int = 200,
) -> None:
    state = asked.text("state")
    if state is not None and state not in set(DeliveryState):
        raise Invalid(f"There is no state {state[:40]!r}. Choose one of the list.")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        hook = webhooks.get(depot, actor, uid)
        states = () if state is None else (DeliveryState(state),)
        path = f"/ui/webhooks/{ids.encode(Noun.WEBHOOK, hook.uid)}"
        return _base(depot, projects.get(depot, actor, hook.project).project) | {
            "hook": hook,
            "base": path,
            "given": given or _given(hook),
            "page": deliveries.list_deliveries(
                depot, actor, uid, states=states, cursor=asked.text("cursor"), limit=_PAGE
            ),
            "state": state,
            "states": [one.value for one in DeliveryState],
            "here_url": links.to(path, state=state),
            "fresh": fresh,
            "wrong": wrong,
        }

    await asked.page("webhook.html", work, status=status)


async def update(asked: Asked) -> None:
    """Change it; what is wrong with the form is told on it, with everything that was typed."""
    form, uid = await asked.form(), _uid(asked)
    given = _sent(form)
    changes = WebhookChanges(
        name=given.name, endpoint=given.endpoint, events=_events(given), enabled=form.flag("enabled")
    )
    try:
        await asked.call(lambda depot, actor: webhooks.update(depot, actor, uid, changes))
    except (Invalid, Conflict, Unsupported) as refused:
        await _show(asked, uid, given=given, wrong=refused.message, status=422)
        return
    await asked.go(_path(asked), notice="webhook")


async def new_secret(asked: Asked) -> None:
    """Another secret, shown this once; the old one signs nothing more."""
    await asked.form()
    uid = _uid(asked)
    made = await asked.call(lambda depot, actor: webhooks.new_secret(depot, actor, uid))
    await _show(asked, uid, fresh=made.secret)


async def test(asked: Asked) -> None:
    await _do(asked, lambda depot, actor, uid: webhooks.test(depot, actor, uid), "webhook-tested")


async def delete(asked: Asked) -> None:
    await asked.form()
    uid = _uid(asked)

    def work(depot: Depot, actor: Actor) -> str:
        gone = webhooks.delete(depot, actor, uid)
        return links.to("/ui/webhooks", project=projects.get(depot, actor, gone.project).project.slug)

    await asked.go(await asked.call(work), notice="webhook-deleted")


async def replay_since(asked: Asked) -> None:
    """Send again what failed or was missed lately."""
    form, uid = await asked.form(), _uid(asked)
    since = _SINCE.get(form.text("since"))
    if since is None:
        raise Invalid("Say from when on: the last hour, day or week.")
    back = since

    def work(depot: Depot, actor: Actor) -> int:
        return deliveries.replay_since(depot, actor, uid, depot.now() - back)

    done = await asked.call(work)
    await asked.go(_path(asked), notice="webhook-replayed" if done else "webhook-silent")


async def show_delivery(asked: Asked) -> None:
    """One delivery, with what the receiver said."""
    uid, key = _uid(asked), ids.decode(Noun.DELIVERY, asked.found["delivery"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        hook = webhooks.get(depot, actor, uid)
        return {
            "section": "projects",
            "project": projects.get(depot, actor, hook.project).project,
            "hook": hook,
            "one": deliveries.get(depot, actor, uid, key),
            "base": _path(asked),
        }

    await asked.page("delivery.html", work)


async def replay(asked: Asked) -> None:
    def again(depot: Depot, actor: Actor, uid: Any) -> object:
        return deliveries.replay(depot, actor, uid, ids.decode(Noun.DELIVERY, asked.found["delivery"]))

    await _do(asked, again, "webhook-replayed")


async def _do(asked: Asked, act: Callable[[Depot, Actor, Any], object], notice: str) -> None:
    await asked.form()
    uid = _uid(asked)
    await asked.call(lambda depot, actor: act(depot, actor, uid))
    await asked.go(_path(asked), notice=notice)


def _path(asked: Asked) -> str:
    return f"/ui/webhooks/{asked.found['webhook']}"


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/webhooks": {"GET": list_, "POST": create},
    "/webhooks/{webhook}": {"GET": show, "POST": update},
    "/webhooks/{webhook}/secret": {"POST": new_secret},
    "/webhooks/{webhook}/test": {"POST": test},
    "/webhooks/{webhook}/delete": {"POST": delete},
    "/webhooks/{webhook}/replay": {"POST": replay_since},
    "/webhooks/{webhook}/deliveries/{delivery}": {"GET": show_delivery},
    "/webhooks/{webhook}/deliveries/{delivery}/replay": {"POST": replay},
}
