"""`python -m entrepot.server`: the server's own commands where the command line of the client wing is not wanted."""

from __future__ import annotations

import argparse
import json
import sys

from entrepot.model.errors import EntrepotError
from entrepot.model.values import Scope
from entrepot.server import commands


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m entrepot.server", description="Run or administer a server.")
    todo = parser.add_subparsers(dest="command", required=True)
    serve = todo.add_parser("serve", help="run a server")
    token = todo.add_parser("token", help="make a token, beside a running server or without one")
    for one in (serve, token):
        one.add_argument("--data", help="the data folder")
        one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting")
    serve.add_argument("--host", help="address to listen at")
    serve.add_argument("--port", help="port to listen at")
    token.add_argument("--user", required=True)
    token.add_argument("--scope", required=True, choices=[scope.value for scope in Scope])
    given = parser.parse_args(arguments)
    try:
        if given.command == "serve":
            settings = commands.load_config({"data": given.data, "host": given.host, "port": given.port}, given.set)
            return commands.serve(settings)
        settings = commands.load_config({"data": given.data}, given.set)
        made = commands.create_token(settings, given.user, Scope(given.scope))
        print(json.dumps({"id": made.id, "token": made.text}))
    except EntrepotError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
