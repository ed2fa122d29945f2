"""Administration of room: what each project takes, and how much it may."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from entrepot.depot import administration, projects
from entrepot.depot.context import Depot
from entrepot.depot.projects import ProjectChanges
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.web.context import Asked, Form
from entrepot.web.routes.admin import Call, operator

__all__ = ["ROUTES"]

_PAGE: Final = 50
#: What a form offers, and what it means in bytes.
UNITS: Final[Mapping[str, int]] = {"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


async def show(asked: Asked) -> None:
    """All projects, those that take most first."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page = administration.list_rooms(depot, actor, cursor=asked.text("cursor"), limit=_PAGE)
        return {"tab": "storage", "page": page}

    await asked.page("admin/storage.html", operator(work))


async def allocation_form(asked: Asked) -> None:
    await _form(asked)


async def _form(asked: Asked, wrong: str = "", given: Form | None = None, status: int = 200) -> None:
    slug = asked.found["project"]

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found, used = projects.get_with_usage(depot, actor, slug)
        amount, unit = _spelled(found.project.allocation)
        if given is not None:
            amount, unit = given.text("amount"), given.text("unit")
        return {
            "tab": "storage",
            "project": found.project,
            "used": used,
            "amount": amount,
            "unit": unit,
            "units": list(UNITS),
            "wrong": wrong,
        }

    await asked.page("admin/allocation.html", operator(work), status=status)


async def set_allocation(asked: Asked) -> None:
    """Give a project so much room, or as much as there is."""
    form = await asked.form()
    slug = asked.found["project"]

    def work(depot: Depot, actor: Actor) -> None:
        found = projects.get(depot, actor, slug).project
        if found.trash is not None:
            raise NotFound(f"Project {found.name} is in the trash. Take it out before you give it room.")
        projects.update(depot, actor, found.n, ProjectChanges(allocation=_octets(form)))

    try:
        await asked.call(operator(work))
    except Invalid as wrong:
        await _form(asked, wrong.message, form, 422)
        return
    await asked.go("/ui/admin/storage", notice="saved")


def _octets(form: Form) -> int | None:
    """The room that a form names, in bytes; None for as much as there is.

    Raises:
        Invalid
    """
    text, unit = form.text("amount").strip().replace(",", "."), UNITS.get(form.text("unit"))
    if not text:
        return None
    try:
        amount = Decimal(text) if len(text) <= 20 else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if unit is None or not amount.is_finite() or amount < 0:
        raise Invalid(f"{text[:40]!r} is not an amount. Write a number such as 500 or 1.5, and choose its unit.")
    return int(amount * unit)


def _spelled(octets: int | None) -> tuple[str, str]:
    """An amount in the greatest unit that says it shortly and exactly."""
    if octets is None:
        return "", "GiB"
    for unit, octets_each in reversed(list(UNITS.items())):
        amount = Decimal(octets) / octets_each
        if amount >= 1 and amount == round(amount, 3):
            return f"{amount.normalize():f}", unit
    return f"{(Decimal(octets) / UNITS['MiB']).normalize():f}", "MiB"


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/admin/storage": {"GET": show},
    "/admin/storage/{project}": {"GET": allocation_form, "POST": set_allocation},
}
