"""A run in which something was skipped is not green when everything was asked for.

With ENTREPOT_TEST_REQUIRE=all (CI sets it) each skipped test is listed with its reason and the run fails.
Without it a developer without, say, PostgreSQL still gets the other tests. Expected failures (xfail, which is
strict here) are not skips, and neither are the soak tests that `-m "not soak"` leaves out.
"""

from __future__ import annotations

import os

import pytest

VARIABLE = "ENTREPOT_TEST_REQUIRE"


class RequireAll:
    """Collects skips, also those of xdist's workers, and turns them into a failure at the end of the run."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        # A skip's long representation is (path, line, "Skipped: reason").
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self.skipped[report.nodeid] = reason.removeprefix("Skipped: ")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    # First, so that the terminal's summary already knows the final status.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.skipped:
            return
        terminalreporter.section(f"skipped, but {VARIABLE}=all", red=True, bold=True)
        for nodeid, reason in sorted(self.skipped.items()):
            terminalreporter.line(f"{nodeid}: {reason}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Watch the run if asked to; under xdist only the controlling process, which sees every worker's reports."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "all"):
        raise pytest.UsageError(f"{VARIABLE} is {wanted!r}; the only value it knows is 'all'.")
    if wanted and not hasattr(config, "workerinput"):
        config.pluginmanager.register(RequireAll(), "entrepot-require-all")
