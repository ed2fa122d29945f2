"""Data types."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from entrepot.depot import data_types
from entrepot.depot.context import Depot
from entrepot.dialects.native import encode_types
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.wire.messages import data_types as m

routes = router("data types")

TypeName = Annotated[str, Path(description="An identifier, such as `fastq`.")]


@routes.get("/data-types", response_model=m.DataTypeList, summary="All data types")
async def list_data_types(ask: Ask) -> Response:
    def work(depot: Depot, _actor: Actor) -> m.DataTypeList:
        return m.DataTypeList(rows=[encode_types.data_type(one) for one in data_types.list_types(depot)])

    return await ask.answer(work)


@routes.get("/data-types/{identifier}", response_model=m.DataType, summary="One data type")
async def get_data_type(ask: Ask, identifier: TypeName) -> Response:
    return await ask.answer(lambda depot, _actor: encode_types.data_type(data_types.find_type(depot, identifier)))
