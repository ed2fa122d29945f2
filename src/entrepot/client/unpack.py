"""Sending an archive for the server to unpack: one upload, restartable, and a task that is waited for."""

from __future__ import annotations

from dataclasses import dataclass

from entrepot.client import pins
from entrepot.client.journal import Journal
from entrepot.client.pins import Thing
from entrepot.client.progress import Tally
from entrepot.client.transfer import Sender, Source
from entrepot.client.transport import Transport, segment
from entrepot.model.errors import Invalid, NotFound
from entrepot.wire.messages.projects import ProjectDetail
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.unpacking import Unpack, Unpacking, UnpackNew
from entrepot.wire.messages.versions import NewVersion

__all__ = ["Begun", "begin"]


@dataclass(frozen=True, slots=True)
class Begun:
    """An archive that is here and being unpacked.

    Args:
        version: `ver_…`.
        made: Whether the version was made for it.
    """

    version: str
    task: Task
    made: bool


def begin(
    transport: Transport,
    source: Source,
    target: Thing,
    *,
    journal: Journal,
    tally: Tally,
    name: str | None = None,
    description: str = "",
) -> Begun:
    """Send an archive and let its files become those of `target`, which is made if it is not there.

    Args:
        name: Of a dataset that is made; else what the target calls it.

    Raises:
        Invalid: The target names a revision or a folder.
    """
    reference = pins.reference_of(target) if isinstance(target, str) else None
    if reference is not None and (reference.revision is not None or reference.path is not None):
        raise Invalid(f"{target!r} names more than a version. An archive is unpacked into the whole of one.")
    version: str | None = None
    home = ""
    try:
        version = pins.pin(transport, target).version
    except NotFound:
        if reference is None or reference.version is not None:
            raise
        home = transport.get(f"/projects/{segment(reference.project)}", ProjectDetail).id
    tally.begin("upload", bytes_total=source.size, files_total=1)
    upload = Sender(transport, journal, project=home or None, tally=tally).send(source)
    tally.end()
    called = source.name.rpartition("/")[2]
    if version is not None:
        task = transport.post(f"/versions/{segment(version)}/unpack", Task, Unpack(upload=upload, file_name=called))
        made = False
    else:
        assert reference is not None
        new = NewVersion(
            name=name or reference.dataset,
            project=home,
            description=description,
            slug=None if name is None else reference.dataset,
        )
        begun = transport.post("/unpack", Unpacking, UnpackNew(upload=upload, file_name=called, version=new))
        version, task, made = begun.version.id, begun.task, True
    journal.forget(transport.url, [source.sha256])
    return Begun(version, task, made)
