"""Nothing that opens a door is found in a message, an event, a value's repr or a table."""

from __future__ import annotations

from datetime import timedelta

from entrepot.catalog.schema import metadata
from entrepot.depot import credentials, passwords, sessions, tokens, users
from entrepot.depot.credentials import Bearer, Cookie, Pair
from entrepot.model import ids
from entrepot.model.access import ANONYMOUS
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Scope
from tests.support.identity import PASSWORD, SECRET, World


def test_no_secret_is_found_anywhere_after_everything_was_done_and_refused(world: World) -> None:
    depot = world.depot
    world.user("alice")
    alice = world.login("alice")
    made = tokens.create(depot, alice, scope=Scope.ADMIN, name="laptop")
    token_id = ids.encode(ids.Noun.TOKEN, made.token.uid)
    obtained = sessions.obtain(depot, "alice", PASSWORD, door="ufdl", refresh=timedelta(hours=8))
    signed = sessions.exchange(depot, token_id, made.text, door="benchling")
    opened = sessions.open_session(depot, "alice", PASSWORD, agent="Browser")
    refused_password, new_password = "the wrong password", "the new password"
    secrets = [PASSWORD, refused_password, new_password, made.text, opened.cookie, "sh0rt", SECRET.decode()]
    secrets += [part for text in (obtained.access, obtained.refresh, signed) for part in text.text.split(".")[1:]]

    heard = [repr(value) for value in (made, obtained, signed, opened, alice)]
    passwords.set_password(depot, alice, "alice", new_password, old=PASSWORD)
    tokens.revoke(depot, alice, made.token.n)
    users.deactivate(depot, world.staff, "alice")
    refusals = [
        lambda: sessions.login(depot, "alice", refused_password, door="native"),
        lambda: sessions.login(depot, refused_password, refused_password, door="native"),
        lambda: passwords.set_password(depot, alice, "alice", "sh0rt", old=new_password),
        lambda: passwords.set_password(depot, alice, "alice", new_password, old=refused_password),
        lambda: users.create(depot, world.staff, "bob", password="sh0rt"),
        lambda: users.create(depot, ANONYMOUS, "bob", password=refused_password),
        lambda: sessions.refresh(depot, obtained.refresh.text, door="ufdl"),
        lambda: sessions.refresh(depot, obtained.refresh.text, door="flow"),
        lambda: sessions.check(depot, obtained.refresh.text + "x", door="ufdl"),
        lambda: sessions.exchange(depot, token_id, made.text, door="benchling"),
        lambda: sessions.exchange(depot, "tok_" + "0" * 32, made.text, door="benchling"),
        *(
            lambda credential=credential, door=door: credentials.authenticate(depot, credential, door=door)
            for credential, door in (
                (Bearer(made.text), "native"),
                (Bearer(made.text + "x"), "native"),
                (Pair(token_id, made.text), "native"),
                (Bearer(obtained.access.text), "ufdl"),
                (Bearer(obtained.access.text), "flow"),
                (Bearer(signed.text), "benchling"),
                (Cookie(opened.cookie), "web"),
            )
        ),
    ]
    for refusal in refusals:
        try:
            refusal()
        except EntrepotError as error:
            heard += [error.message, repr(error.details), repr(error.errors), repr(error)]
        else:
            raise AssertionError(f"refusal {refusals.index(refusal)} was allowed")
    with depot.catalog.read() as conn:
        for table in metadata.sorted_tables:
            heard += [repr(tuple(row)) for row in conn.execute(table.select())]
    found = [(secret, text) for secret in secrets for text in heard if secret in text]
    assert found == []
