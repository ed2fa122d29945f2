"""`python -m entrepot` is `entrepot`: for where only the interpreter is at hand, or several are."""

from __future__ import annotations

from entrepot.cli.main import main

if __name__ == "__main__":
    main()
