"""How the server writes its log: one line an event on standard error, as text for people or as JSON for machines.

Secrets stay out by construction: what is logged are names and numbers that the code chose, never requests, queries or
headers. Paths of signed links are cut where they are logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog


def to_standard_error() -> None:
    """For a command whose standard output is its answer, which a program may read: warnings are said beside it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _plain,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=_beside,
    )


def _beside(*_: object) -> structlog.PrintLogger:
    # Asked for each time: whoever runs a command inside of a process of its own may put another stream there.
    return structlog.PrintLogger(sys.stderr)


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
    last: Any = _plain
    if form == "json":
        last = structlog.processors.JSONRenderer()
    elif sys.stderr.isatty():
        last = structlog.dev.ConsoleRenderer(sort_keys=False)
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


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """One line as the library's own renderer would write it without colours, in a tenth of its time: every request
    writes one. What could break the line is quoted.
    """
    head = f"{event.pop('timestamp', '')} [{event.pop('level', ''):<9}] {event.pop('event', '')!s:<30}"
    below = [str(text) for name in ("stack", "exception") if (text := event.pop(name, None))]
    fields = "".join(f" {name}={_shown(value)}" for name, value in event.items())
    return "\n".join([(head + fields).rstrip(), *below])


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value)
    return value if value.isprintable() and " " not in value and '"' not in value and "'" not in value else repr(value)


#: For granian: say nothing by yourself, use the root logger that `configure` set up.
GRANIAN: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "_granian": {"level": "WARNING", "propagate": True, "handlers": []},
        "granian.access": {"level": "WARNING", "propagate": True, "handlers": []},
    },
}
