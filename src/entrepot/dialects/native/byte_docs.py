"""What the OpenAPI document says of the routes of bytes."""

from __future__ import annotations

from typing import Any

BYTE_PATHS: dict[str, dict[str, Any]] = {}
