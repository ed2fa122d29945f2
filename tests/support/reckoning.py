"""What a lane finds when the server is back: all that was acknowledged, and nothing by halves."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.support.lanes import API, TUS, UNNAMED, Lane, Told, World


def check(lane: Lane, http: httpx2.Client) -> None:
    """Compare everything with what was acknowledged; of what was not answered, learn whether it happened."""
    doubt, lane.doubt = lane.doubt, None
    repeated: bool | None = None
    if doubt is not None and doubt.repeat is not None:
        again = doubt.repeat(http)
        # The key may still be held by the process that died; what was purged cannot be shown. Never twice.
        code = again.json()["code"] if again.status_code == 409 else ""
        held, told = code == "in_progress", code == "carried_out"
        assert again.is_success or held or told, f"{doubt.what} again: {again.status_code} {again.text}"
        repeated = not held
        lane.counts["repeated: " + ("held" if held else "told" if told else "answered")] += 1
    seen = _observe(lane, http)
    canonical = {one: told.canonical() for one, told in seen.items()}
    known = {one: told.canonical() for one, told in lane.world.items()}
    if doubt is None:
        assert canonical == known, f"acknowledged facts changed: {_difference(known, canonical)}"
    else:
        after = {one: told.canonical() for one, told in doubt.after.items()}
        strangers = [one for one in seen if one not in after]
        if UNNAMED in after and len(strangers) == 1:
            after[strangers[0]] = after.pop(UNNAMED)
        done = canonical == after
        assert done or canonical == known, f"half of a {doubt.what}: {_difference(after, canonical)}"
        # A key that is still held says that nothing was done, and what a repeat is told of was done.
        assert repeated in (None, done), f"a repeat of {doubt.what} was told otherwise: {_difference(after, canonical)}"
        lane.counts[f"unanswered: {'done' if done else 'not done'}"] += 1
    lane.world = seen
    _read(lane, http)
    _check_uploads(lane, http)


def _observe(lane: Lane, http: httpx2.Client) -> World:
    found: World = {}
    for row in _pages(http, "/versions", project=lane.project, trashed="include"):
        revisions = []
        for number in range(row["revision"] + 1):
            rows = _pages(http, f"/versions/{row['id']}/entries", revision=number)
            revisions.append({one["path"]: one["sha256"] for one in rows})
        found[row["id"]] = Told(row["name"], revisions, row["trash"] is not None)
    return found


def _read(lane: Lane, http: httpx2.Client) -> None:
    """Read every content once, through the newest revision that shows it."""
    read: set[str] = set()
    for version, told in lane.world.items():
        for number in range(len(told.revisions) - 1, -1, -1):
            for path, digest in told.revisions[number].items():
                if digest in read:
                    continue
                read.add(digest)
                answer = http.get(f"{API}/versions/{version}/files/{path}", params={"revision": number})
                assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
                assert answer.content == lane.contents[digest], f"{path} at {number} has other bytes"
    lane.counts["contents read back"] += len(read)


def _check_uploads(lane: Lane, http: httpx2.Client) -> None:
    for upload in lane.uploads:
        answer = http.head(f"{API}/uploads/{upload.id}", headers=TUS)
        assert answer.status_code == 200, f"upload {upload.id} is lost: {answer.status_code}"
        offset = int(answer.headers["upload-offset"])
        assert upload.told <= offset <= max(upload.sent, upload.told), (upload.told, offset, upload.sent)
        # Whoever reads its own length does nothing more: that the bytes are named by now must be true already.
        named = http.get(f"{API}/uploads/{upload.id}").json()["state"] == "finished"
        assert named == (offset == len(upload.content)), f"upload {upload.id} at {offset}, finished: {named}"
        upload.told = upload.sent = offset
        lane.counts["uploads continued"] += 1


def _pages(http: httpx2.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        answer = http.get(f"{API}{path}", params={"limit": 100, **asked})
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        page = answer.json()
        rows += page["rows"]
        if not page["next"]:
            return rows
        asked["cursor"] = page["next"]


def _difference(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    names = [one for one in {**wanted, **found} if wanted.get(one) != found.get(one)]
    return "; ".join(f"{one}: wanted {wanted.get(one)}, found {found.get(one)}"[:2000] for one in names)
