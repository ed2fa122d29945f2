"""How the server writes its log: one line an event on standard error, as text for people or as JSON for machines.

Secrets stay out by construction: what is logged are names and numbers that the code chose, never requests, queries or
headers. Paths of signed links are cut where they are logged.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(level: str, form: str) -> None:
    """Set up this process's log.

    Args:
        level: debug, info, warning or error.
        form: text or json.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard logging; their lines take the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    # Its lines about each connection say nothing to an operator.
    logging.getLogger("alembic").setLevel(logging.WARNING)


#: For granian: say nothing by yourself, use the root logger that `configure` set up.
GRANIAN: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "_granian": {"level": "WARNING", "propagate": True, "handlers": []},
        "granian.access": {"level": "WARNING", "propagate": True, "handlers": []},
    },
}
