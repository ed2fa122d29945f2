"""Webhooks, and the jobs that send to them, from the model to the wire; rules as in `encode`."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from entrepot.dialects.datature.encode import job_id, millis
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState
from entrepot.model.webhooks import Batch, Delivery, DeliveryState, Level, LogLine, Webhook

__all__ = ["LEVELS", "job", "log_line", "tested", "webhook"]


def webhook(hook: Webhook, project: UUID) -> dict[str, Any]:
    """One webhook; its secret is never told again."""
    return {
        "id": ids.encode(Noun.WEBHOOK, hook.uid),
        "object": "webhook",
        "projectId": ids.encode(Noun.PROJECT, project),
        "name": hook.name,
        "endpoint": hook.endpoint,
        "retries": {"maxRetries": hook.retries.max_retries, "maxBackoffMs": hook.retries.max_backoff_ms},
        "createDate": millis(hook.created_at),
        "updateDate": millis(hook.updated_at),
    }


_TESTED: Final = {
    DeliveryState.WAITING: "Waiting",
    DeliveryState.DELIVERED: "Delivered",
    DeliveryState.FAILED: "Failed",
}


def tested(delivery: Delivery) -> dict[str, Any]:
    """What came of a test."""
    found: dict[str, Any] = {
        "status": _TESTED[delivery.state],
        "responseCode": delivery.status or 0,
        "latencyMs": delivery.took_ms or 0,
        "attemptCount": delivery.attempts,
    }
    if delivery.excerpt is not None:
        found["body"] = delivery.excerpt
    if delivery.error is not None:
        found["reason"] = delivery.error
    return found


#: Clients wait until all items are delivered or failed, or until the word is `Failed`; so what was cancelled is that.
_JOBS: Final = {
    TaskState.READY: "Waiting",
    TaskState.RUNNING: "Running",
    TaskState.DONE: "Reached",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Failed",
}


def job(found: Batch, project: UUID) -> dict[str, Any]:
    """One job. No model runs here: items are sent as they are, whatever deployment was named."""
    task = found.task
    spec: dict[str, Any] = {
        "deployment": {"kind": "ExistingDeployment", "deploymentId": "none"},
        "resultDelivery": {
            "destinations": [{"kind": "Webhook", "webhookId": ids.encode(Noun.WEBHOOK, found.webhook_uid)}]
        },
        "startAtTime": millis(task.created_at),
        "datasetId": ids.datature_dataset(found.version_uid),
    }
    if found.stop_at is not None:
        spec["stopAtTime"] = millis(found.stop_at)
    changed = millis(task.ended_at or task.started_at or task.created_at)
    total = "all" if found.total is None else str(found.total)
    said = f"{found.delivered} of {total} items delivered, {found.failed} failed."
    status: dict[str, Any] = {
        "overview": _JOBS[task.state],
        "message": f"Waiting to begin: {said}" if task.state is TaskState.READY else said,
        "updateDate": changed,
        "items": {
            "Gathered": found.delivered + found.failed,
            "FailedGather": 0,
            "Preprocessed": 0,
            "FailedProcess": 0,
            "Predicted": 0,
            "FailedPredict": 0,
            "Delivered": found.delivered,
            "FailedDeliver": found.failed,
        },
    }
    if task.error is not None:
        status["reason"] = str(task.error.get("detail") or task.error.get("code") or "It failed.")
    if task.state is TaskState.CANCELLED and task.ended_at is not None:
        status["cancelledAt"] = millis(task.ended_at)
    return {
        "id": job_id(task.uid),
        "object": "job",
        "name": found.name,
        "projectId": ids.encode(Noun.PROJECT, project),
        "spec": spec,
        "status": status,
        "createDate": millis(task.created_at),
        "updateDate": changed,
    }


LEVELS: Final = {Level.DEBUG: "Debug", Level.INFO: "Info", Level.WARNING: "Warning", Level.ERROR: "Error"}


def log_line(line: LogLine) -> dict[str, Any]:
    return {
        "kind": "JobLogEntry",
        "createTime": millis(line.at),
        "id": f"joblog_{line.n}",
        "level": LEVELS[line.level],
        "item": "" if line.item is None else str(line.item),
        "status": "FailedDeliver" if line.item is not None and line.level >= Level.WARNING else "Reported",
        "timeMs": 0,
        "reason": line.message,
    }
