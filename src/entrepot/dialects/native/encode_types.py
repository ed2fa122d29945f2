"""Data types and what was found out about entries, as the API tells them."""

from __future__ import annotations

from entrepot.model import data_types as values
from entrepot.wire.messages import data_types as m


def data_type(one: values.DataType) -> m.DataType:
    return m.DataType(
        identifier=one.identifier,
        name=one.name,
        description=one.description,
        suffixes=list(one.suffixes),
        media_type=one.media_type,
        is_text=one.is_text,
        is_own=one.is_own,
    )
