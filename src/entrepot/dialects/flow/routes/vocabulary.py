"""What samples are described with. For everybody: it is the same for all."""

from __future__ import annotations

from typing import Any

from entrepot.dialects.flow.context import Asked, dumped
from entrepot.dialects.flow.vocabulary import ATTRIBUTES, ORGANISMS, TYPES, Attribute
from entrepot.model.errors import NotFound


async def list_types(asked: Asked) -> None:
    await asked.send_json(
        dumped([{"identifier": one.identifier, "name": one.name, "description": one.description} for one in TYPES])
    )


async def list_organisms(asked: Asked) -> None:
    await asked.send_json(dumped([{"id": one.id, "name": one.name, "latin_name": one.latin_name} for one in ORGANISMS]))


async def list_attributes(asked: Asked) -> None:
    await asked.send_json(dumped([_shown(one) for one in ATTRIBUTES]))


def _shown(one: Attribute) -> dict[str, Any]:
    links = one.types or tuple(kind.identifier for kind in TYPES)
    return {
        "identifier": one.identifier,
        "name": one.name,
        "description": one.description,
        "required": False,
        "sample_type_links": [{"sample_type_identifier": kind, "required": kind in one.required_for} for kind in links],
        "allow_annotation": False,
        "has_options": bool(one.options),
        "allow_user_terms": not one.options,
    }


async def list_options(asked: Asked) -> None:
    """The values that an attribute may have."""
    for one in ATTRIBUTES:
        if one.identifier == asked.found["identifier"]:
            await asked.send_json(dumped({"count": len(one.options), "options": [{"value": v} for v in one.options]}))
            return
    raise NotFound("There is no such attribute.")
