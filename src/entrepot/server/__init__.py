"""The server process: configuration, the one place that picks backends, start and orderly end."""

from __future__ import annotations

import sys


def _log_without_colours() -> None:
    """Load the log's library without the one that it would take for tracebacks in colour.

    A server writes none, and they are fifty modules that each of its processes would load when it starts, and keep.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


_log_without_colours()
