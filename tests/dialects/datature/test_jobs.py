"""Webhooks, and batch jobs that send the items of a dataset to them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.datature import LINES, Lab
from tests.support.receivers import BROKEN, OK, Receiver, work_off

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def receiver(lab: Lab) -> Receiver:
    lab.depot.courier = Receiver()
    return lab.depot.courier


def spec(**more: Any) -> dict[str, Any]:
    """As the client writes it."""
    found = {
        "endpoint": "https://hooks.example.org/in",
        "secret": {"contents": SECRET},
        "retries": {"maxRetries": 3, "maxBackoffMs": 15000},
    }
    return {"name": "my-hook", "spec": {**found, **more}}


def hook(lab: Lab, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = lab.chief.ok("POST", "./batch/webhooks", spec(**more))
    return made


def job_for(dataset: dict[str, Any], destination: dict[str, Any], name: str = "run", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "spec": {
            "datasetId": dataset["id"],
            "deployment": {"kind": "ExistingDeployment", "deploymentId": "deploy_1"},
            "resultDelivery": {"destinations": [{"kind": "Webhook", "webhookId": destination["id"]}]},
            **more,
        },
    }


def start(lab: Lab, dataset: dict[str, Any], destination: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = lab.writer.ok("POST", "./batch/jobs", job_for(dataset, destination, **more))
    return made


# Webhooks


def test_a_webhook_never_tells_its_secret_again(lab: Lab, receiver: Receiver) -> None:
    made = hook(lab)
    assert made == {
        "id": made["id"],
        "object": "webhook",
        "projectId": lab.project,
        "name": "my-hook",
        "endpoint": "https://hooks.example.org/in",
        "retries": {"maxRetries": 3, "maxBackoffMs": 15000},
        "createDate": made["createDate"],
        "updateDate": made["updateDate"],
    }
    assert lab.chief.ok("GET", f"./batch/webhooks/{made['id']}") == made
    wished = {"spec": {"endpoint": "https://other.example.org/", "retries": {"maxRetries": 5}}}
    changed = lab.chief.ok("PATCH", f"./batch/webhooks/{made['id']}", wished)
    assert (changed["endpoint"], changed["retries"]) == (
        "https://other.example.org/",
        {"maxRetries": 5, "maxBackoffMs": 15000},
    )
    other = base64.b64encode(b"k" * 32).decode()
    answer = lab.chief("PUT", f"./batch/webhooks/{made['id']}/secret", {"contents": other})
    assert answer.status_code == 200
    assert other not in answer.text
    assert lab.chief.ok("DELETE", f"./batch/webhooks/{made['id']}") == {"id": made["id"], "deleted": True}
    assert lab.chief("GET", f"./batch/webhooks/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "", "spec": {"endpoint": "https://example.org/"}},
        spec(endpoint="ftp://example.org/"),
        spec(endpoint="http://127.0.0.1:8080/"),
        spec(endpoint="http://169.254.169.254/latest"),
        spec(secret={"contents": "short"}),
        spec(retries={"maxRetries": -1}),
        spec(retries={"maxBackoffMs": "15000"}),
    ],
)
def test_a_webhook_that_is_wrong_is_refused(lab: Lab, receiver: Receiver, body: Any) -> None:
    answer = lab.chief("POST", "./batch/webhooks", body)
    assert answer.status_code == 400, answer.text
    assert lab.chief.ok("GET", "./batch/webhooks")["data"] == []


def test_webhooks_page_by_page(lab: Lab, receiver: Receiver) -> None:
    made = [hook(lab, endpoint=f"https://hooks.example.org/{i}")["id"] for i in range(5)][::-1]

    def page(cursor: str | None) -> dict[str, Any]:
        found: dict[str, Any] = lab.chief.ok("GET", f"./batch/webhooks?limit=2&page={cursor or ''}&")
        return found

    def ids(found: dict[str, Any]) -> list[str]:
        return [one["id"] for one in found["data"]]

    first = page(None)
    second = page(first["nextPage"])
    third = page(second["nextPage"])
    assert [ids(first), ids(second), ids(third)] == [made[:2], made[2:4], made[4:]]
    assert (first["prevPage"], third["nextPage"]) == (None, None)
    assert page(third["prevPage"]) == second
    assert page(second["prevPage"]) == first
    newer = hook(lab)["id"]
    back = page(second["prevPage"])
    assert ids(back) == made[:2]
    assert ids(page(back["prevPage"])) == [newer]
    assert lab.chief("GET", "./batch/webhooks?page=nonsense&").status_code == 400


@pytest.mark.parametrize("who", ["reader", "runner", "reading key", "writer", "outsider", "anonymous"])
def test_webhooks_are_for_admins(lab: Lab, receiver: Receiver, who: str) -> None:
    made = hook(lab)
    expected = {"outsider": 404, "anonymous": 401}.get(who, 403)
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", spec()),
        ("GET", f"/{made['id']}", None),
        ("PATCH", f"/{made['id']}", {"name": "other"}),
        ("PUT", f"/{made['id']}/secret", {"contents": SECRET}),
        ("POST", f"/{made['id']}:test", None),
        ("DELETE", f"/{made['id']}", None),
    ):
        answer = lab.people[who](method, f"./batch/webhooks{path}", body)
        assert answer.status_code == expected, (method, path, answer.text)
    assert lab.chief.ok("GET", f"./batch/webhooks/{made['id']}") == made


@pytest.fixture
def worker(lab: Lab, receiver: Receiver) -> Iterator[None]:
    """Somebody who sends what waits, until the test is over."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.01):
            work_off(lab.depot)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_test_tells_what_came_of_it(lab: Lab, receiver: Receiver, worker: None) -> None:
    made = hook(lab)
    assert lab.chief.ok("POST", f"./batch/webhooks/{made['id']}:test") == {
        "status": "Delivered",
        "responseCode": 200,
        "latencyMs": 10,
        "attemptCount": 1,
        "body": "thanks",
    }
    receiver.answers = lambda _got: BROKEN
    failed = lab.chief.ok("POST", f"./batch/webhooks/{made['id']}:test")
    assert (failed["status"], failed["responseCode"], failed["attemptCount"]) == ("Failed", 500, 1)
    assert receiver.kinds() == ["webhook.test"] * 2


# Jobs


def test_a_job_sends_every_item(lab: Lab, receiver: Receiver) -> None:
    destination, dataset = hook(lab), lab.writer.dataset()
    made = start(lab, dataset, destination)
    assert made["spec"] == {
        "deployment": {"kind": "ExistingDeployment", "deploymentId": "none"},
        "resultDelivery": {"destinations": [{"kind": "Webhook", "webhookId": destination["id"]}]},
        "startAtTime": made["createDate"],
        "datasetId": dataset["id"],
    }
    assert made["status"]["overview"] == "Waiting"
    work_off(lab.depot, "batches")
    done = lab.reader.ok("GET", f"./batch/jobs/{made['id']}")
    assert done["status"]["overview"] == "Reached"
    assert done["status"]["items"]["Delivered"] == dataset["status"]["itemCount"] == 2
    assert done["status"]["items"]["FailedDeliver"] == 0
    assert len(receiver.got) == 2
    logs = lab.reader.ok("GET", f"./batch/jobs/{made['id']}/logs?maxEntries=1000&")
    assert (logs["id"], logs["projectId"]) == (made["id"], lab.project)
    assert logs["entries"]
    newest = logs["entries"][0]
    assert set(newest) == {"kind", "createTime", "id", "level", "item", "status", "timeMs", "reason"}
    assert len({one["id"] for one in logs["entries"]}) == len(logs["entries"])


def test_items_that_are_not_taken_are_counted_and_told(lab: Lab, receiver: Receiver) -> None:
    destination, dataset = hook(lab, retries={"maxRetries": 0, "maxBackoffMs": 0}), lab.writer.dataset()
    receiver.answers = lambda got: BROKEN if b"2.png" in got.body else OK
    made = start(lab, dataset, destination)
    work_off(lab.depot, "batches")
    done = lab.writer.ok("GET", f"./batch/jobs/{made['id']}")["status"]["items"]
    assert (done["Delivered"], done["FailedDeliver"]) == (1, 1)
    errors = lab.writer.ok("GET", f"./batch/jobs/{made['id']}/logs?minLevel=Error&")["entries"]
    assert ("1", "FailedDeliver") in [(one["item"], one["status"]) for one in errors]
    latest = errors[0]["createTime"]
    assert lab.writer.ok("GET", f"./batch/jobs/{made['id']}/logs?beforeTime={latest}&")["entries"]
    assert lab.writer.ok("GET", f"./batch/jobs/{made['id']}/logs?afterTime={latest + 1}&")["entries"] == []


def test_a_job_is_cancelled_and_deleted(lab: Lab, receiver: Receiver) -> None:
    destination, dataset = hook(lab), lab.writer.dataset()
    made = start(lab, dataset, destination)
    now = made["createDate"]
    for _ in range(2):
        stopped = lab.writer.ok("PATCH", f"./batch/jobs/{made['id']}", {"spec": {"stopAtTime": now}})
        # Clients wait for this word.
        assert (stopped["status"]["overview"], stopped["status"]["cancelledAt"]) == ("Failed", now)
        assert stopped["status"]["reason"]
    work_off(lab.depot, "batches")
    assert receiver.got == []
    assert lab.writer.ok("DELETE", f"./batch/jobs/{made['id']}") == {"id": made["id"], "deleted": True}
    assert lab.writer("GET", f"./batch/jobs/{made['id']}").status_code == 404
    assert lab.writer.ok("GET", "./batch/jobs")["data"] == []
    waiting = start(lab, dataset, destination, name="other")
    assert lab.writer.ok("DELETE", f"./batch/jobs/{waiting['id']}")["deleted"] is True
    work_off(lab.depot, "batches")
    assert receiver.got == []


def test_a_repeated_create_sends_nothing_twice(lab: Lab, receiver: Receiver) -> None:
    destination, dataset = hook(lab), lab.writer.dataset()
    made = start(lab, dataset, destination)
    assert start(lab, dataset, destination)["id"] == made["id"]
    assert start(lab, dataset, destination, name="another")["id"] != made["id"]


def test_jobs_page_by_page(lab: Lab, receiver: Receiver) -> None:
    destination, dataset = hook(lab), lab.writer.dataset()
    made = [start(lab, dataset, destination, name=f"run {i}")["id"] for i in range(3)][::-1]
    first = lab.reader.ok("GET", "./batch/jobs?limit=2&")
    second = lab.reader.ok("GET", f"./batch/jobs?page={first['nextPage']}&limit=2&")
    assert [one["id"] for one in first["data"] + second["data"]] == made
    assert (first["prevPage"], second["nextPage"]) == (None, None)
    assert lab.reader.ok("GET", f"./batch/jobs?page={second['prevPage']}&limit=2&") == first


Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda body: body["spec"].pop("datasetId"), 400),
        (lambda body: body["spec"].update(datasetId="nonsense"), 404),
        (lambda body: body["spec"]["resultDelivery"].update(destinations=[]), 400),
        (lambda body: body["spec"]["resultDelivery"]["destinations"][0].update(kind="Bucket"), 400),
        (lambda body: body["spec"]["resultDelivery"]["destinations"][0].update(webhookId="webhook_1"), 404),
        (lambda body: body["spec"].update(startAtTime=4_102_444_800_000), 400),
        (lambda body: body["spec"].update(stopAtTime=10**18), 400),
    ],
)
def test_a_job_that_is_wrong_is_refused(lab: Lab, receiver: Receiver, change: Change, status: int) -> None:
    body = job_for(lab.writer.dataset(), hook(lab))
    change(body)
    assert lab.writer("POST", "./batch/jobs", body).status_code == status
    assert lab.writer.ok("GET", "./batch/jobs")["data"] == []


def test_a_dataset_that_is_not_ready_is_not_sent(lab: Lab, receiver: Receiver) -> None:
    body = job_for(lab.writer.create(LINES), hook(lab))
    assert lab.writer("POST", "./batch/jobs", body).status_code == 409


@pytest.mark.parametrize("who", ["reader", "runner", "reading key", "outsider", "anonymous"])
def test_who_may_not_send(lab: Lab, receiver: Receiver, who: str) -> None:
    destination, dataset = hook(lab), lab.writer.dataset()
    made = start(lab, dataset, destination)
    expected = {"outsider": 404, "anonymous": 401}.get(who, 403)
    asker = lab.people[who]
    assert asker("POST", "./batch/jobs", job_for(dataset, destination, "mine")).status_code == expected
    stop = {"spec": {"stopAtTime": made["createDate"]}}
    assert asker("PATCH", f"./batch/jobs/{made['id']}", stop).status_code == expected
    assert asker("DELETE", f"./batch/jobs/{made['id']}").status_code == expected
    assert lab.writer.ok("GET", f"./batch/jobs/{made['id']}")["status"]["overview"] == "Waiting"
