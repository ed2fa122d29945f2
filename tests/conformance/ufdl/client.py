"""What the UFDL Python client puts on the wire, sent by the library that it sends with.

The client is on no package index, so it cannot be installed here. This does as it does, as observed on the wire:
tokens are obtained at the first call and kept in a file by host and user; a 401 leads to a refresh, a 401 there to a
login, and then the call is repeated once; names of files go into the address as they are; every GET carries `{}`.

Runs in an environment of its own and imports nothing of this project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests


class Context:
    """A server, a user, and the file in which tokens stay from run to run."""

    def __init__(self, host: str, username: str, password: str, cache: Path, **headers: str) -> None:
        self.host = host
        self.username = username
        self.password = password
        self.cache = cache
        self.headers = headers
        self.obtained = 0
        self._tokens: dict[str, str] | None = None

    @property
    def tokens(self) -> dict[str, str]:
        if self._tokens is None:
            kept = json.loads(self.cache.read_text()) if self.cache.exists() else {}
            self._tokens = kept.get(self.host, {}).get(self.username)
        if self._tokens is None:
            self._keep(self._obtain())
        assert self._tokens is not None
        return self._tokens

    def _keep(self, tokens: dict[str, str]) -> None:
        kept = json.loads(self.cache.read_text()) if self.cache.exists() else {}
        kept.setdefault(self.host, {})[self.username] = tokens
        self.cache.write_text(json.dumps(kept))
        self._tokens = tokens

    def _obtain(self) -> dict[str, str]:
        self.obtained += 1
        body = {"username": self.username, "password": self.password}
        answer = raised(requests.post(f"{self.host}/v1/auth/obtain/", json=body)).json()
        return {"access": answer["access"], "refresh": answer["refresh"]}

    def _refreshed(self) -> dict[str, str]:
        old = self.tokens["refresh"]
        answer = requests.post(f"{self.host}/v1/auth/refresh/", json={"refresh": old})
        if answer.status_code == 401:
            return self._obtain()
        return {"access": raised(answer).json()["access"], "refresh": old}

    def shown(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access']}"}

    def call(self, method: str, url: str, **what: Any) -> requests.Response:
        headers = {**self.headers, **what.pop("headers", {})}

        def once() -> requests.Response:
            return requests.request(method, f"{self.host}/v1/{url}", headers={**headers, **self.shown()}, **what)

        answer = once()
        if answer.status_code == 401:
            self._keep(self._refreshed())
            answer = once()
        return raised(answer)

    def get(self, url: str) -> Any:
        return self.call("GET", url, json={}).json()

    def post(self, url: str, body: Any) -> Any:
        return self.call("POST", url, json=body).json()

    def upload(self, url: str, name: str, data: Any) -> Any:
        headers = {"Content-Disposition": f"attachment; filename={name}", "Content-Type": "application/data"}
        return self.call("POST", url, data=data, headers=headers).json()


def raised(answer: requests.Response) -> requests.Response:
    """The answer, or `HTTPError` with the body's text as `.detail`."""
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        error.detail = answer.text  # type: ignore[attr-defined]
        raise
    return answer


class Datasets:
    """The calls of `functional.core.dataset`."""

    base = "datasets/"

    def __init__(self, context: Context) -> None:
        self.context = context

    def list(self, filter: Any = None) -> Any:
        if filter is None:
            return self.context.call("POST", f"{self.base}list").json()
        return self.context.post(f"{self.base}list", filter)

    def create(
        self, name: str, project: int, licence: int, description: str = "", is_public: bool = False, tags: str = ""
    ) -> Any:
        body = {
            "name": name,
            "description": description,
            "project": project,
            "licence": licence,
            "tags": tags,
            "is_public": is_public,
        }
        return self.context.post(f"{self.base}create", body)

    def retrieve(self, pk: int) -> Any:
        return self.context.get(f"{self.base}{pk}/")

    def update(self, pk: int, **fields: Any) -> Any:
        return self.context.call("PUT", f"{self.base}{pk}/", json=fields).json()

    def partial_update(self, pk: int, **fields: Any) -> Any:
        return self.context.call("PATCH", f"{self.base}{pk}/", json=fields).json()

    def destroy(self, pk: int) -> None:
        self.context.call("DELETE", f"{self.base}{pk}/")

    def hard_delete(self, pk: int) -> Any:
        return self.context.call("DELETE", f"{self.base}{pk}/hard").json()

    def reinstate(self, pk: int) -> Any:
        return self.context.call("DELETE", f"{self.base}{pk}/reinstate").json()

    def clear(self, pk: int) -> Any:
        return self.context.call("DELETE", f"{self.base}{pk}/clear").json()

    def merge(self, pk: int, source: int, delete: bool, **hard: bool) -> Any:
        return self.context.post(f"{self.base}{pk}/merge/{source}", {"delete": delete, **hard})

    def copy(self, pk: int, **parameters: Any) -> Any:
        return self.context.post(f"{self.base}{pk}/copy", parameters)

    def download(self, pk: int, filetype: str = "zip") -> Iterator[bytes]:
        body = {"filetype": filetype, "params": {}}
        answer = self.context.call("POST", f"{self.base}{pk}/download", json=body, stream=True)
        yield from answer.iter_content(chunk_size=None)

    def add_file(self, pk: int, name: str, data: Any) -> Any:
        return self.context.upload(f"{self.base}{pk}/files/{name}", name, data)

    def add_files(self, pk: int, archive: bytes) -> Any:
        return self.context.upload(f"{self.base}{pk}/files-multi", "data", archive)

    def get_file(self, pk: int, name: str) -> Iterator[bytes]:
        answer = self.context.call("GET", f"{self.base}{pk}/files/{name}", stream=True)
        yield from answer.iter_content(chunk_size=None)

    def delete_file(self, pk: int, name: str) -> Any:
        return self.context.call("DELETE", f"{self.base}{pk}/files/{name}").json()

    def set_metadata(self, pk: int, name: str, metadata: str) -> Any:
        return self.context.post(f"{self.base}{pk}/metadata/{name}", {"metadata": metadata})["metadata"]

    def get_metadata(self, pk: int, name: str) -> Any:
        return self.context.get(f"{self.base}{pk}/metadata/{name}")["metadata"]

    def get_all_metadata(self, pk: int) -> Any:
        return self.context.get(f"{self.base}{pk}/metadata")
