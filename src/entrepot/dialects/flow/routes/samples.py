"""Files that are or describe samples: reads of one, reads of many in one file, and the sheet that goes with those."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from entrepot.depot import projects, relationships, singles
from entrepot.depot.context import Depot
from entrepot.depot.parcels import Arrival, NewParcel, Whole
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.singles import Singles
from entrepot.dialects.flow import sheets, things, vocabulary
from entrepot.dialects.flow.context import Asked, invalid
from entrepot.dialects.flow.forms import Chunk, Form, ids_of
from entrepot.dialects.flow.routes.uploads import declared, take_chunk, waiting
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.model import ids, names
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden, Invalid, InvalidName, NotFound, TooLarge

#: Fields of the form that are no metadata of the sample.
_OURS: Final = frozenset(
    {
        "filename",
        "expected_file_size",
        "is_last",
        "data",
        "data_type",
        "is_directory",
        "is_last_sample",
        "previous_data",
        "sample_name",
        "sample_type",
        "project",
        "organism",
    }
)

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: The client sends reads right after their sheet, and does not say which it was.
_RECENT: Final = timedelta(hours=1)


# A sample: one file or several that become one version


async def upload_sample(asked: Asked) -> None:
    await take_chunk(asked, _begin_sample, _finish_sample)


def _begin_sample(depot: Depot, actor: Actor, form: Form, chunk: Chunk) -> NewParcel:
    """Everything that can be refused is refused with the first chunk of each file."""
    _described(form)
    return NewParcel(chunk.filename, data_type=declared(depot, form), project=project_of(depot, actor, form))


def _described(form: Form) -> Whole:
    """The sample as its fields tell it, without its files.

    Raises:
        Invalid: Everything that is wrong with it, by field.
    """
    wrong: dict[str, list[str]] = {}
    name, kind, organism = form.text("sample_name"), form.text("sample_type"), form.text("organism")
    metadata = {field: values[-1] for field, values in form.fields.items() if field not in _OURS and values[-1]}
    try:
        names.dataset_name(name or "")
    except InvalidName as bad:
        wrong["sample_name"] = [bad.message]
    found = vocabulary.TYPES[0]
    try:
        found = vocabulary.find_type(kind or "")
    except NotFound as unknown:
        wrong["sample_type"] = [unknown.message if kind else "This field is required."]
    else:
        wrong |= vocabulary.checked(found, metadata)
    lives = None if organism is None else vocabulary.organism(organism)
    if organism is not None and lives is None:
        wrong["organism"] = [f"There is no organism {organism[:60]!r}."]
    if wrong:
        raise invalid(wrong)
    return sample_of(name or "", found.identifier, None if lives is None else lives.id, metadata)


def sample_of(name: str, sample_type: str, organism: str | None, metadata: dict[str, Any]) -> Whole:
    """The version that a sample is: what it is described with is custom metadata too, which every door shows."""
    told = {"type": sample_type, "organism": organism, "metadata": metadata}
    known = {"sample_type": sample_type, **({} if organism is None else {"organism": organism})}
    return Whole(name=name, custom={**metadata, **known}, properties={things.SAMPLE: told})


def project_of(depot: Depot, actor: Actor, form: Form) -> int | None:
    """The project that the form names, by its number.

    Raises:
        Invalid: There is none that the caller may see.
    """
    said = form.text("project")
    if said is None:
        return None
    try:
        return projects.get(depot, actor, ids.parse_flow_data(said), trashed=False).project.n
    except (NotFound, Forbidden) as unknown:
        raise invalid({"project": [f"There is no project {said[:40]!r}, or you may not see it."]}) from unknown


def _finish_sample(_depot: Depot, _actor: Actor, form: Form, arrival: Arrival) -> dict[str, Any]:
    if not form.flag("is_last_sample"):
        arrival.keep()
        return waiting(arrival.row.uid)
    told = _described(form)
    whole = Whole(
        name=told.name, previous=ids_of(form, "previous_data"), custom=told.custom, properties=told.properties
    )
    n = ids.flow_data(arrival.finish(whole))
    return {"id": n, "data_id": n, "sample_id": n}


# Reads of many samples in one file, and their sheet


async def upload_annotation(asked: Asked) -> None:
    """A sheet, which is looked at with its last chunk. What is refused can be sent again."""
    await take_chunk(asked, _begin_plain, _finish_annotation)


def _begin_plain(depot: Depot, _actor: Actor, form: Form, chunk: Chunk) -> NewParcel:
    return NewParcel(chunk.filename, data_type=declared(depot, form))


def _finish_annotation(_depot: Depot, _actor: Actor, form: Form, arrival: Arrival) -> dict[str, Any]:
    if arrival.version is None:
        _look_at_sheet(form, arrival)
    n = ids.flow_data(arrival.finish(Whole(properties={things.CATEGORY: things.ANNOTATION})))
    return {"id": n, "data_id": n}


def _look_at_sheet(form: Form, arrival: Arrival) -> None:
    """
    Raises:
        Invalid: `validation` or `warnings`, as the client tells them apart.
    """
    arrival.require_last()
    if arrival.size > sheets.MAX_SIZE:
        raise TooLarge(f"A sheet of annotation may have {sheets.MAX_SIZE} bytes, not {arrival.size}.")
    found = sheets.checked(arrival.row.file_name or "", arrival.read_at(0, arrival.size))
    if found.validation:
        raise Invalid("The annotation is not valid.", details={"fields": {"validation": found.validation}})
    if found.warnings and not form.flag("ignore_warnings"):
        raise Invalid("There are warnings.", details={"fields": {"warnings": found.warnings}})


async def upload_multiplexed(asked: Asked) -> None:
    """Reads of many samples: bound to the sheet that the same person sent before, and two of a pair to each other."""
    await take_chunk(asked, _begin_plain, _finish_multiplexed)


def _finish_multiplexed(depot: Depot, actor: Actor, form: Form, arrival: Arrival) -> dict[str, Any]:
    first = form.text("reads1")
    mate = None if first is None else things.locate(depot, actor, first).version.n
    n = arrival.finish(Whole(properties={things.CATEGORY: things.MULTIPLEXED}))
    sheet = _sheet_before(depot, actor, arrival.row.project)
    if sheet is not None:
        relationships.create(depot, actor, NewRelationship(n, sheet, "annotated_by"))
    if mate is not None:
        relationships.create(depot, actor, NewRelationship(n, mate, "paired_with"))
    text = ids.flow_data(n)
    return {"id": text, "data_id": text}


def _sheet_before(depot: Depot, actor: Actor, project: int | None) -> int | None:
    asked = Singles(
        expand=things.SAMPLE,
        category=(things.CATEGORY, things.ANNOTATION),
        creator=actor.user,
        created=(depot.now() - _RECENT, None),
    )
    _, found = singles.page(depot, actor, asked, start=0, limit=10)
    return next((one.version.n for one in found if one.version.project == project), None)


async def annotation_template(asked: Asked) -> None:
    """A workbook to fill in."""
    made = sheets.template(vocabulary.find_type(asked.found["type"]))
    name = f'attachment; filename="annotation-{vocabulary.find_type(asked.found["type"]).identifier}.xlsx"'
    await send_answer(asked.send, Answer(200, made, XLSX, {"content-disposition": name}))
