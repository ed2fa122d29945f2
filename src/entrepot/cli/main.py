"""`entrepot`: where a command line begins, and how it ends.

Exit codes:

    0    done
    1    failed in another way
    2    the command line is wrong
    3    no such thing
    4    not logged in, or not allowed
    5    in conflict with the state of things, or with what somebody else wrote
    6    bytes that are not what they should be, or only a part of what was asked for
    130  interrupted
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main", "run"]


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code. Never raises but for what ends the process."""
    given = list(arguments)
    try:
        if given[:2] == ["daemon", "run"]:
            from entrepot.cli import plainly

            if plainly.run(given[2:]):
                return 0
        from entrepot.cli.commands import root

        result = root().main(given, prog_name="entrepot", standalone_mode=False)
    except BaseException as error:
        from entrepot.cli import failure

        return failure.report(error)
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, such as `head`; Python would complain once more at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
