"""Every use case with data, the line of the table of roles it falls under, and how to do it to something.

What should happen is derived from the table in `tests.support.matrix`, not from the code.
"""

from __future__ import annotations

from collections.abc import Mapping

from entrepot.depot import (
    administration,
    batches,
    browse,
    checking,
    collection,
    consignments,
    conversions,
    copies,
    deliveries,
    direct,
    entries,
    exports,
    history,
    ingests,
    judging,
    leafing,
    merging,
    notes,
    objects,
    packing,
    parcels,
    projects,
    record_work,
    relationships,
    reports,
    resolving,
    slots,
    table_changes,
    table_summaries,
    tables,
    tallying,
    tasks,
    trash,
    uploads,
    versions,
    webhooks,
    whole,
)
from entrepot.depot import records as records_
from entrepot.depot.consignments import NewConsigned
from entrepot.depot.entries import Add, Describe, Remove
from entrepot.depot.parcels import NewParcel
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.slots import NewSlot
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.depot.webhooks import NewWebhook, WebhookChanges
from entrepot.model import ids
from entrepot.model.access import Action
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.references import parse_reference
from entrepot.model.values import Kind
from tests.support.deeds import (
    Case,
    anybody,
    as_invalid,
    as_missing,
    begin_direct,
    both,
    consigning,
    copied_away,
    creating,
    drop,
    edge_seen,
    fill_slot,
    finish_upload,
    from_ones_own,
    made_project,
    of_project,
    of_version_in_project,
    open_pair,
    operators,
    put_archive,
    put_batch,
    put_upload,
    put_whole,
    sources_own,
    staff_alone,
    task_cancelled,
    task_seen,
    unpack_into,
)
from tests.support.matrix import (
    CONTENT,
    COPY_INSIDE,
    EDIT,
    MEMBER,
    RECORD,
    A,
    W,
    edge,
    folder,
    frozen,
    full_table,
    hook,
    in_trash,
    noted,
    project_in_trash,
    records,
    rows,
    running,
    sending,
    table,
    tested_hook,
    verdict,
    whole_project,
)

CASES: Mapping[str, Case] = {
    # reading records
    "versions.get": Case(lambda c, a, v: versions.get(c.depot, a, v.uid), RECORD, keeps=True),
    "versions.resolve": Case(
        lambda c, a, v: versions.resolve(c.depot, a, parse_reference(f"birds/{v.slug}")), as_missing(RECORD), keeps=True
    ),
    "resolving.resolve": Case(
        lambda c, a, v: resolving.resolve(c.depot, a, ids.encode(Noun.VERSION, v.uid)), as_missing(RECORD), keeps=True
    ),
    "resolving.resolve of an entry": Case(
        lambda c, a, v: resolving.resolve(c.depot, a, f"flow:{v.n}-0"), as_missing(CONTENT), keeps=True
    ),
    "browse.get_dataset": Case(
        lambda c, a, v: browse.get_dataset(c.depot, a, v.dataset_uid), as_missing(RECORD), keeps=True
    ),
    "history.version_events": Case(
        lambda c, a, v: history.version_events(c.depot, a, v.n), of_version_in_project, keeps=True
    ),
    "relationships.list_relationships": Case(
        lambda c, a, v: relationships.list_relationships(c.depot, a, v.n), RECORD, keeps=True
    ),
    "notes.list_notes": Case(lambda c, a, v: notes.list_notes(c.depot, a, v.n), RECORD, keeps=True),
    "relationships.graph": Case(lambda c, a, v: relationships.graph(c.depot, a, v.n), RECORD, keeps=True),
    # reading content
    "entries.list_entries": Case(lambda c, a, v: entries.list_entries(c.depot, a, v.n), CONTENT, keeps=True),
    "reports.report": Case(lambda c, a, v: reports.report(c.depot, a, v.n, "a.txt"), CONTENT, keeps=True),
    "reports.list_reports": Case(lambda c, a, v: reports.list_reports(c.depot, a, v.n), CONTENT, keeps=True),
    "reports.declare": Case(lambda c, a, v: reports.declare(c.depot, a, v.n, {"a.txt": "csv"}), EDIT),
    "reports.check": Case(lambda c, a, v: reports.check(c.depot, a, v.n), EDIT),
    "entries.list_folder": Case(lambda c, a, v: entries.list_folder(c.depot, a, v.n), CONTENT, keeps=True),
    "entries.get": Case(lambda c, a, v: entries.get(c.depot, a, v.n, "a.txt"), CONTENT, keeps=True),
    "entries.open_entry": Case(
        lambda c, a, v: entries.open_entry(c.depot, a, v.n, "a.txt").reader.close(), CONTENT, keeps=True
    ),
    "direct.open_entry": Case(lambda c, a, v: direct.open_entry(c.depot, a, v.n, "a.txt"), CONTENT, keeps=True),
    "packing.open_batch": Case(lambda c, a, v: packing.open_batch(c.depot, a, v.n, ["a.txt"]), CONTENT, keeps=True),
    "entries.iterate": Case(lambda c, a, v: drop(entries.iterate(c.depot, a, v.n)[2]), CONTENT, keeps=True),
    "entries.revision": Case(lambda c, a, v: entries.revision(c.depot, a, v.n, 1), CONTENT, keeps=True),
    "entries.diff": Case(lambda c, a, v: drop(entries.diff(c.depot, a, (v.n, 0), (v.n, 1))), CONTENT, keeps=True),
    "checking.of_version": Case(lambda c, a, v: checking.of_version(c.depot, a, v.n), CONTENT, keeps=True),
    "history.revisions": Case(lambda c, a, v: history.revisions(c.depot, a, v.n), CONTENT, keeps=True),
    "history.diff_page": Case(lambda c, a, v: history.diff_page(c.depot, a, (v.n, 0), (v.n, 1)), CONTENT, keeps=True),
    "history.ingests_of": Case(lambda c, a, v: history.ingests_of(c.depot, a, v.n), CONTENT, keeps=True),
    "exports.export": Case(lambda c, a, v: drop(exports.export(c.depot, a, v.n).read()), CONTENT, keeps=True),
    "objects.sign_entry": Case(lambda c, a, v: objects.sign_entry(c.depot, a, v.n, "a.txt"), CONTENT, keeps=True),
    "objects.sign_export": Case(lambda c, a, v: objects.sign_export(c.depot, a, v.n), CONTENT, keeps=True),
    # reading items
    "records.open_items": Case(
        lambda c, a, v: records_.open_items(c.depot, a, v.n).close(), CONTENT, records, keeps=True
    ),
    "records.get": Case(lambda c, a, v: records_.get(c.depot, a, v.n, 1), CONTENT, records, keeps=True),
    "records.list_items": Case(lambda c, a, v: records_.list_items(c.depot, a, v.n), CONTENT, records, keeps=True),
    "records.filter_items": Case(
        lambda c, a, v: records_.filter_items(c.depot, a, v.n, "id > 1"), CONTENT, records, keeps=True
    ),
    "records.sample": Case(lambda c, a, v: records_.sample(c.depot, a, v.n), CONTENT, records, keeps=True),
    "records.statistics": Case(lambda c, a, v: records_.statistics(c.depot, a, v.n), CONTENT, records, keeps=True),
    "records.diff": Case(
        lambda c, a, v: records_.diff(c.depot, a, v.n, "id", base_version=v.n), CONTENT, records, keeps=True
    ),
    "records.open_pair": Case(lambda c, a, v: open_pair(c, a, v.n), CONTENT, records, keeps=True),
    "record_work.statistics": Case(
        lambda c, a, v: record_work.statistics(c.depot, a, v.n), CONTENT, records, keeps=True
    ),
    "record_work.diff": Case(
        lambda c, a, v: record_work.diff(c.depot, a, v.n, "id", base_version=v.n), CONTENT, records, keeps=True
    ),
    "record_work.export": Case(
        lambda c, a, v: record_work.export(c.depot, a, v.n, "csv"), CONTENT, records, keeps=True
    ),
    # reading tables
    "tables.schema": Case(lambda c, a, v: tables.schema(c.depot, a, v.n), CONTENT, rows, keeps=True),
    "tables.rows": Case(lambda c, a, v: tables.rows(c.depot, a, v.n), CONTENT, rows, keeps=True),
    "tables.export": Case(lambda c, a, v: drop(tables.export(c.depot, a, v.n).blocks), CONTENT, rows, keeps=True),
    "tables.statistics": Case(lambda c, a, v: tables.statistics(c.depot, a, v.n), CONTENT, rows, keeps=True),
    "tables.pin_revision": Case(lambda c, a, v: tables.pin_revision(c.depot, a, v.n, None), CONTENT, rows, keeps=True),
    "table_summaries.summary": Case(
        lambda c, a, v: table_summaries.summary(c.depot, a, v.n, tables.schema(c.depot, a, v.n), columns=["a"]),
        CONTENT,
        rows,
        keeps=True,
    ),
    "tables.diff": Case(lambda c, a, v: tables.diff(c.depot, a, v.n, base_version=v.n), CONTENT, rows, keeps=True),
    "tables.query": Case(
        lambda c, a, v: tables.query(c.depot, a, "SELECT * FROM t", {"t": (v.n, None)}), CONTENT, rows, keeps=True
    ),
    "table_changes.change": Case(
        lambda c, a, v: table_changes.change(c.depot, a, v.n, [], renamed={"a": "b"}), EDIT, rows
    ),
    "tables.rejects": Case(lambda c, a, v: drop(tables.rejects(c.depot, a, v.n).blocks), CONTENT, rows, keeps=True),
    # making and editing
    "versions.create": Case(
        lambda c, a, _: versions.create(c.depot, a, c.project.n, NewVersion(c.fresh("new"))), creating, keeps=True
    ),
    "whole.create": Case(
        lambda c, a, v: whole.create(
            c.depot, a, c.project.n, NewVersion(c.fresh("new")), [Add("a", source=(v.n, None, "a.txt"))]
        ),
        creating,
        keeps=True,
    ),
    "slots.create": Case(
        lambda c, a, _: slots.create(
            c.depot, a, c.project.n, NewVersion(c.fresh("new"), kind=Kind.TABLE), [NewSlot("a.csv")]
        ),
        creating,
        keeps=True,
    ),
    "versions.update": Case(
        lambda c, a, v: versions.update(c.depot, a, v.n, VersionChanges(description=c.fresh("text"))), EDIT, keeps=True
    ),
    "versions.update of the name": Case(
        # It is in another dataset afterwards.
        lambda c, a, v: versions.update(c.depot, a, v.n, VersionChanges(name=c.fresh("renamed"))),
        EDIT,
    ),
    "versions.update to a new folder": Case(
        lambda c, a, v: versions.update(c.depot, a, v.n, VersionChanges(collection=c.fresh("new folder"))),
        both(EDIT, W),
        keeps=True,
    ),
    "versions.set_slug": Case(
        lambda c, a, v: versions.set_slug(c.depot, a, v.n, c.fresh("slug").replace(" ", "-")), EDIT, keeps=True
    ),
    "notes.add": Case(lambda c, a, v: notes.add(c.depot, a, v.n, c.fresh("note")), EDIT),
    "notes.remove": Case(
        lambda c, a, v: notes.remove(c.depot, a, v.n, v.properties[notes.PROPERTY][0]["id"]), EDIT, noted
    ),
    "versions.freeze": Case(lambda c, a, v: versions.freeze(c.depot, a, v.n), W),
    "versions.unfreeze": Case(lambda c, a, v: versions.unfreeze(c.depot, a, v.n), A, frozen),
    "versions.accept": Case(lambda c, a, v: versions.accept(c.depot, a, v.n), W),
    "entries.commit": Case(
        lambda c, a, v: entries.commit(c.depot, a, v.n, [Describe("a.txt", c.fresh("text"))]), EDIT, keeps=True
    ),
    "entries.commit of a removal": Case(lambda c, a, v: entries.commit(c.depot, a, v.n, [Remove("a.txt")]), EDIT),
    "entries.restore": Case(lambda c, a, v: entries.restore(c.depot, a, v.n, 1), EDIT, keeps=True),
    "entries.clear": Case(lambda c, a, v: entries.clear(c.depot, a, v.n), EDIT, keeps=True),
    "putting.put_file": Case(put_whole, EDIT, keeps=True),
    "unpacking.put_archive": Case(put_archive, EDIT, keeps=True),
    "judging.on_version to read": Case(
        lambda c, a, v: judging.on_version(c.depot, a, v.n, Action.READ_CONTENT), CONTENT, keeps=True
    ),
    "judging.on_version to edit": Case(
        lambda c, a, v: judging.on_version(c.depot, a, v.n, Action.EDIT), EDIT, keeps=True
    ),
    "slots.list_slots": Case(lambda c, a, it: slots.list_slots(c.depot, a, it[0].n), EDIT, table, keeps=True),
    "slots.renew": Case(lambda c, a, it: slots.renew(c.depot, a, it[0].n), EDIT, table, keeps=True),
    "slots.fill": Case(fill_slot, EDIT, table),
    "ingests.start": Case(lambda c, a, it: ingests.start(c.depot, a, it[0].n), EDIT, full_table),
    "tallying.count": Case(lambda c, a, v: drop(tallying.count(c.depot, a, v.n, mark="{")), CONTENT, keeps=True),
    "leafing.leaf_entries": Case(lambda c, a, v: leafing.leaf_entries(c.depot, a, v.n), CONTENT, keeps=True),
    "consignments.begin": Case(
        lambda c, a, _: consignments.begin(c.depot, a, c.project.n, "Consigned", [NewConsigned("a.bin", 1)]),
        consigning,
        keeps=True,
    ),
    # copying and merging
    "copies.copy": Case(lambda c, a, v: copies.copy(c.depot, a, v.n), COPY_INSIDE, keeps=True),
    "copies.copy away": Case(
        lambda c, a, v: copies.copy(
            c.depot, a, v.n, project=c.elsewhere.n if a.is_anonymous else c.house_of(a).n, name=c.fresh("copy")
        ),
        copied_away(CONTENT),
        keeps=True,
    ),
    "copies.merge into": Case(
        lambda c, a, v: copies.merge(c.depot, a, v.n, c.target.n), both(EDIT, MEMBER), keeps=True
    ),
    "copies.merge from": Case(
        lambda c, a, v: copies.merge(c.depot, a, sources_own(c, a), v.n),
        from_ones_own(MEMBER),
        keeps=True,
    ),
    "copies.merge away": Case(
        lambda c, a, v: copies.merge(c.depot, a, sources_own(c, a), v.n, delete=True),
        from_ones_own(EDIT),
    ),
    "merging.preview into": Case(
        lambda c, a, v: merging.preview(c.depot, a, v.n, c.target.n), both(EDIT, MEMBER), keeps=True
    ),
    "merging.preview from": Case(
        lambda c, a, v: merging.preview(c.depot, a, sources_own(c, a), v.n), from_ones_own(MEMBER), keeps=True
    ),
    # leaving and coming back
    "trash.trash": Case(lambda c, a, v: trash.trash(c.depot, a, v.n), W),
    "trash.trash of what one copied here oneself": Case(
        lambda c, a, v: trash.trash(c.depot, a, copies.copy(c.depot, a, v.n).n), COPY_INSIDE, keeps=True
    ),
    "trash.trash_many": Case(lambda c, a, v: trash.trash_many(c.depot, a, [v.n], reason="x"), as_invalid(W)),
    "trash.reinstate": Case(lambda c, a, v: trash.reinstate(c.depot, a, v.n), W, in_trash),
    "trash.reinstate_many": Case(lambda c, a, v: trash.reinstate_many(c.depot, a, [v.n]), as_invalid(W), in_trash),
    "trash.purge": Case(lambda c, a, v: trash.purge(c.depot, a, v.n), A),
    "trash.purge of the trash": Case(lambda c, a, v: trash.purge(c.depot, a, v.n), A, in_trash),
    "collection.frees": Case(lambda c, a, v: collection.frees(c.depot, a, v.n), A, keeps=True),
    "collection.frees_part": Case(lambda c, a, v: collection.frees_part(c.depot, a, v.n), A, keeps=True),
    # edges
    "relationships.create from": Case(
        lambda c, a, v: relationships.create(c.depot, a, NewRelationship(v.n, c.target.n, c.fresh("verb"))),
        W,
        keeps=True,
    ),
    "relationships.create to": Case(
        lambda c, a, v: relationships.create(c.depot, a, NewRelationship(sources_own(c, a), v.n, c.fresh("verb"))),
        from_ones_own(CONTENT),
        keeps=True,
    ),
    "relationships.get": Case(
        lambda c, a, it: relationships.get(c.depot, a, it[0].uid), edge_seen(RECORD, seen_as=NotFound), edge, keeps=True
    ),
    "relationships.delete": Case(
        lambda c, a, it: relationships.delete(c.depot, a, it[0].uid), edge_seen(W, seen_as=NotFound), edge
    ),
    # archives that are unpacked behind the answer
    "crates.add": Case(unpack_into, EDIT, keeps=True),
    # files that come in chunks
    "parcels.begin": Case(
        lambda c, a, _: parcels.begin(c.depot, a, NewParcel("reads.txt", project=c.project.n)),
        lambda who, how, seen: anybody(True)(who, how, seen) or creating(who, how, seen),
        keeps=True,
    ),
    # projects
    "projects.create": Case(
        lambda c, a, _: projects.create(c.depot, a, c.fresh("project"), team=c.team), made_project, keeps=True
    ),
    "projects.get": Case(lambda c, a, p: projects.get(c.depot, a, p.uid), of_project(MEMBER), whole_project, True),
    "projects.get_with_usage": Case(
        lambda c, a, p: projects.get_with_usage(c.depot, a, p.n), of_project(MEMBER), whole_project, True
    ),
    "projects.usage": Case(lambda c, a, p: projects.usage(c.depot, a, p.n), of_project(MEMBER), whole_project, True),
    "projects.tags_in_use": Case(
        lambda c, a, p: projects.tags_in_use(c.depot, a, p.n), of_project(MEMBER), whole_project, True
    ),
    "browse.list_heads": Case(
        lambda c, a, p: browse.list_heads(c.depot, a, p.n), of_project(MEMBER), whole_project, True
    ),
    "projects.update": Case(
        lambda c, a, p: projects.update(c.depot, a, p.n, ProjectChanges(description=c.fresh("text"))),
        of_project(W),
        whole_project,
        True,
    ),
    "projects.update of settings": Case(
        lambda c, a, p: projects.update(c.depot, a, p.n, ProjectChanges(retention_s=next(c._numbers))),
        of_project(A),
        whole_project,
        True,
    ),
    "projects.trash": Case(lambda c, a, p: projects.trash(c.depot, a, p.n), of_project(W), whole_project),
    "projects.reinstate": Case(lambda c, a, p: projects.reinstate(c.depot, a, p.n), of_project(A), project_in_trash),
    "projects.purge": Case(lambda c, a, p: projects.purge(c.depot, a, p.n), of_project(A), whole_project),
    "projects.create_collection": Case(
        lambda c, a, p: projects.create_collection(c.depot, a, p.n, c.fresh("folder")),
        of_project(W),
        whole_project,
        True,
    ),
    "projects.list_collections": Case(
        lambda c, a, p: projects.list_collections(c.depot, a, p.n), of_project(MEMBER), whole_project, True
    ),
    "projects.get_collection": Case(
        lambda c, a, f: projects.get_collection(c.depot, a, f.uid), of_project(MEMBER), folder, True
    ),
    "projects.rename_collection": Case(
        lambda c, a, f: projects.rename_collection(c.depot, a, f.uid, c.fresh("renamed")), of_project(W), folder, True
    ),
    "projects.delete_collection": Case(
        lambda c, a, f: projects.delete_collection(c.depot, a, f.uid), of_project(W), folder
    ),
    # tasks
    "tasks.get": Case(lambda c, a, t: tasks.get(c.depot, a, t.uid), task_seen, running, keeps=True),
    "tasks.cancel": Case(lambda c, a, t: tasks.cancel(c.depot, a, t.uid), task_cancelled, running),
    # webhooks, and jobs that send a whole version to one
    "webhooks.create": Case(
        lambda c, a, _: webhooks.delete(
            c.depot,
            c.owner,
            webhooks.create(
                c.depot, a, c.project.n, NewWebhook(c.fresh("webhook"), "https://example.org/", ())
            ).webhook.n,
        ),
        of_project(A),
        keeps=True,
    ),
    "webhooks.list_webhooks": Case(
        lambda c, a, _: webhooks.list_webhooks(c.depot, a, c.project.n), of_project(A), keeps=True
    ),
    "webhooks.get": Case(lambda c, a, h: webhooks.get(c.depot, a, h.uid), of_project(A), hook, keeps=True),
    "webhooks.update": Case(
        lambda c, a, h: webhooks.update(c.depot, a, h.n, WebhookChanges(name=c.fresh("renamed"))),
        of_project(A),
        hook,
        keeps=True,
    ),
    "webhooks.update of the endpoint": Case(
        lambda c, a, h: webhooks.update(c.depot, a, h.n, WebhookChanges(endpoint="https://example.com/")),
        of_project(A),
        hook,
        keeps=True,
    ),
    "webhooks.delete": Case(lambda c, a, h: webhooks.delete(c.depot, a, h.uid), of_project(A), hook),
    "webhooks.new_secret": Case(lambda c, a, h: webhooks.new_secret(c.depot, a, h.n), of_project(A), hook, keeps=True),
    "webhooks.test": Case(lambda c, a, h: webhooks.test(c.depot, a, h.uid), of_project(A), hook, keeps=True),
    "deliveries.list_deliveries": Case(
        lambda c, a, h: deliveries.list_deliveries(c.depot, a, h.n), of_project(A), hook, keeps=True
    ),
    "deliveries.get": Case(
        lambda c, a, it: deliveries.get(c.depot, a, it[0].uid, it[1].uid), of_project(A), tested_hook, keeps=True
    ),
    "deliveries.replay": Case(
        lambda c, a, it: deliveries.replay(c.depot, a, it[0].n, it[1].uid), of_project(A), tested_hook, keeps=True
    ),
    "deliveries.replay_since": Case(
        lambda c, a, h: deliveries.replay_since(c.depot, a, h.n, c.house.clock.at), of_project(A), hook, keeps=True
    ),
    "conversions.convert": Case(
        lambda c, a, v: conversions.convert(
            c.depot, a, v.n, NewVersion(c.fresh("new"), kind=Kind.RECORDS), project=c.project.n
        ),
        lambda who, how, seen: verdict(CONTENT, who, how, seen) or creating(who, how, seen),
        keeps=True,
    ),
    "batches.start": Case(
        lambda c, a, v: batches.start(c.depot, a, v.n, c.destination.n),
        lambda who, how, seen: verdict(CONTENT, who, how, seen) or verdict(W, who, how, None),
        keeps=True,
    ),
    "batches.get": Case(lambda c, a, b: batches.get(c.depot, a, b.task.uid), task_seen, sending, keeps=True),
    "batches.log": Case(lambda c, a, b: batches.log(c.depot, a, b.task.uid), task_seen, sending, keeps=True),
    "batches.stop": Case(lambda c, a, b: batches.stop(c.depot, a, b.task.uid), task_cancelled, sending),
    "batches.forget": Case(lambda c, a, b: batches.forget(c.depot, a, b.task.uid), task_cancelled, sending),
    "batches.leaf_batches": Case(
        lambda c, a, _: batches.leaf_batches(c.depot, a, c.project.n), of_project(MEMBER), keeps=True
    ),
    "batches.list_batches": Case(lambda c, a, _: batches.list_batches(c.depot, a), anybody(False), keeps=True),
    # one's own
    "uploads.begin": Case(lambda c, a, _: uploads.begin(c.depot, a, NewUpload()), anybody(True), keeps=True),
    "uploads.begin for a project": Case(
        lambda c, a, _: uploads.begin(c.depot, a, NewUpload(project=c.project.n)),
        lambda who, how, seen: anybody(True)(who, how, seen) or creating(who, how, seen),
        keeps=True,
    ),
    "uploads.receive and finish": Case(lambda c, a, _: finish_upload(c, a), anybody(True), keeps=True),
    "direct.begin": Case(lambda c, a, _: begin_direct(c, a), anybody(True), keeps=True),
    "packing.put_batch": Case(lambda c, a, _: put_batch(c, a), anybody(True), keeps=True),
    "packing.put_batch for a project": Case(
        lambda c, a, _: put_batch(c, a, c.project.n),
        lambda who, how, seen: anybody(True)(who, how, seen) or creating(who, how, seen),
        keeps=True,
    ),
    "putting.put_upload": Case(lambda c, a, _: put_upload(c, a), anybody(True), keeps=True),
    "uploads.list_uploads": Case(lambda c, a, _: uploads.list_uploads(c.depot, a), anybody(False), keeps=True),
    "entries.known": Case(lambda c, a, _: entries.known(c.depot, a, [b"x" * 32]), anybody(False), keeps=True),
    "projects.default": Case(lambda c, a, _: projects.default(c.depot, a), anybody(False), keeps=True),
    "tasks.list_tasks": Case(lambda c, a, _: tasks.list_tasks(c.depot, a), anybody(False), keeps=True),
    "history.events": Case(lambda c, a, _: history.events(c.depot, a), anybody(False), keeps=True),
    "administration.enter": Case(lambda c, a, _: administration.enter(c.depot, a), operators, keeps=True),
    "administration.overview": Case(lambda c, a, _: administration.overview(c.depot, a), operators, keeps=True),
    "administration.list_jobs": Case(lambda c, a, _: administration.list_jobs(c.depot, a), operators, keeps=True),
    "administration.get_job": Case(
        lambda c, a, it: administration.get_job(c.depot, a, it.uid), operators, running, keeps=True
    ),
    "administration.list_rooms": Case(lambda c, a, _: administration.list_rooms(c.depot, a), operators, keeps=True),
    "collection.gc": Case(lambda c, a, _: collection.gc(c.depot, a, dry_run=True), staff_alone, keeps=True),
}
