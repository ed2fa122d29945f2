"""`python -m entrepot.server`: the server's own commands where the command line of the client wing is not wanted."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from entrepot.model.errors import EntrepotError
from entrepot.model.values import Scope
from entrepot.server import commands


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m entrepot.server", description="Run or administer a server.")
    todo = parser.add_subparsers(dest="command", required=True)
    serve = todo.add_parser("serve", help="run a server")
    token = todo.add_parser("token", help="make a token, beside a running server or without one")
    worker = todo.add_parser("worker", help="do background work, beside a server or on another machine")
    gc = todo.add_parser("gc", help="give back the bytes that nothing refers to any more")
    for one in (serve, token, worker, gc):
        one.add_argument("--data", help="the data folder")
        one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting")
    serve.add_argument("--host", help="address to listen at")
    serve.add_argument("--port", help="port to listen at")
    token.add_argument("--user", required=True)
    token.add_argument("--scope", required=True, choices=[scope.value for scope in Scope])
    worker.add_argument("--queues", help="names with commas between them; all when not given")
    worker.add_argument("--managed", action="store_true", help="end when the standard input ends")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be done")
    given = parser.parse_args(arguments)
    try:
        if given.command == "serve":
            settings = commands.load_config({"data": given.data, "host": given.host, "port": given.port}, given.set)
            return commands.serve(settings)
        settings = commands.load_config({"data": given.data}, given.set)
        if given.command == "worker":
            queues = None if given.queues is None else given.queues.split(",")
            return commands.work(settings, queues=queues, managed=given.managed)
        if given.command == "gc":
            print(json.dumps(asdict(commands.collect(settings, dry_run=given.dry_run))))
            return 0
        made = commands.create_token(settings, given.user, Scope(given.scope))
        print(json.dumps({"id": made.id, "token": made.text}))
    except EntrepotError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
