"""Where entries and bytes are written down.

A *strand* is a straight history of entries with sequence numbers, known to this floor only. A revision is a pointer
(strand, seq), so several versions, even of different datasets, may point into one strand: a copy costs two rows.
`live` holds what the head of a strand shows, `past` what was superseded: valid at every seq with vfrom <= seq < vto.

    version --rev--> revision(version, num) --(strand, seq)--> live | past --content--> content --n--> extent --> object

A content is an ordered list of extents in immutable objects; a plain upload is one object with one extent.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from entrepot.catalog.schema.types import Id, Instant, Json, PathText, Uid, metadata

strand = Table(
    "strand",
    metadata,
    Column("id", Id, primary_key=True),
    Column("head", Integer, nullable=False),
    # 0 whole, 1 filling (being made, no revision points here yet), 2 dirty (rows that no revision sees are left),
    # 3 dead (no revision is left). All but whole are finished by the sweep, whatever crashed in between.
    Column("state", SmallInteger, nullable=False, default=0),
    # Whether rows were ever taken out: a seq that no revision points to may then lack some.
    Column("trimmed", Boolean, nullable=False, default=False),
    # Where it was forked from, so that a comparison across the fork reads only what changed on either side.
    Column("parent", Id),
    Column("parent_seq", Integer),
    sqlite_autoincrement=True,
)
Index(
    "ix_strand_state",
    strand.c.state,
    strand.c.parent,
    sqlite_where=strand.c.state != 0,
    postgresql_where=strand.c.state != 0,
)

revision = Table(
    "revision",
    metadata,
    Column("version", Id, ForeignKey("version.id"), primary_key=True),
    Column("num", Integer, primary_key=True),
    # Revision 0 is empty and needs no strand.
    Column("strand", Id, ForeignKey("strand.id")),
    Column("seq", Integer),
    Column("author", Id, ForeignKey("user.id")),
    Column("at", Instant, nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("n_entries", BigInteger, nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    # How many entries have which data type, {"<word>": n} with "0" for none: whether all share one is then known
    # without looking at them.
    Column("types", Json, nullable=False, default=dict),
    sqlite_with_rowid=False,
)
Index("ix_revision_strand", revision.c.strand, revision.c.seq)

#: Numbers for media types and data types: an entry row stays short. Rows are never changed or deleted.
word = Table(
    "word",
    metadata,
    Column("id", Id, primary_key=True),
    Column("text", PathText, nullable=False, unique=True),
)


def _entry_columns() -> list[Column[object]]:
    return [
        Column("vfrom", Integer, nullable=False),
        Column("content", Id, ForeignKey("content.id"), nullable=False),
        # Not small integers: media types come from outside, and whoever sends 40 000 of them must not stop everybody.
        Column("media", Integer),
        Column("dtype", Integer),
        Column("meta", Text),
        Column("pos", BigInteger, nullable=False),
        # The event that brought the entry in: who and when. Forks keep it.
        Column("added", Id, nullable=False),
    ]


live = Table(
    "live",
    metadata,
    Column("strand", Id, ForeignKey("strand.id"), primary_key=True),
    Column("path", PathText, primary_key=True),
    *_entry_columns(),
    sqlite_with_rowid=False,
)
Index("ix_live_strand_vfrom", live.c.strand, live.c.vfrom)
# The strand and the birth too: which histories hold a content, and from when on, is then one seek for each, however
# often it occurs in one.
Index("ix_live_content", live.c.content, live.c.strand, live.c.vfrom)
Index("ix_live_strand_pos", live.c.strand, live.c.pos)

past = Table(
    "past",
    metadata,
    Column("strand", Id, ForeignKey("strand.id"), primary_key=True),
    Column("path", PathText, primary_key=True),
    Column("vto", Integer, primary_key=True),
    *_entry_columns(),
    sqlite_with_rowid=False,
)
Index("ix_past_strand_vfrom", past.c.strand, past.c.vfrom)
Index("ix_past_strand_vto", past.c.strand, past.c.vto)
Index("ix_past_content", past.c.content, past.c.strand, past.c.vfrom)
Index("ix_past_strand_pos", past.c.strand, past.c.pos)

#: state: 0 used, 1 condemned since `touched`; 2 would be doomed, but a doomed content's row is removed at once.
content = Table(
    "content",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("crc32c", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, default=0),
    Column("touched", Instant, nullable=False),
    # When the stored bytes were last read and compared; null means not since they arrived.
    Column("verified_at", Instant),
    Column("created_at", Instant, nullable=False),
    # Since when the stored bytes are known to be wrong. Nothing is served of them, and equal bytes that arrive replace
    # them. Null for all that are well.
    Column("damaged_at", Instant),
    sqlite_autoincrement=True,
)
Index(
    "ix_content_damaged_at",
    content.c.damaged_at,
    sqlite_where=content.c.damaged_at.is_not(None),
    postgresql_where=content.c.damaged_at.is_not(None),
)
Index(
    "uq_content_sha256_live",
    content.c.sha256,
    unique=True,
    sqlite_where=content.c.state < 2,
    postgresql_where=content.c.state < 2,
)
Index("ix_content_touched", content.c.touched, sqlite_where=content.c.state == 1, postgresql_where=content.c.state == 1)
Index("ix_content_verified_at", content.c.verified_at)

#: state: placing, placed, doomed. Every object has its row before it has bytes.
object_ = Table(
    "object",
    metadata,
    Column("id", Id, primary_key=True),
    Column("store", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    # Of the contents that came with it, without what surrounds them; and of those that still need it.
    Column("body_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("live_bytes", BigInteger, nullable=False, default=0),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("store", "key"),
    sqlite_autoincrement=True,
)
Index(
    "ix_object_state",
    object_.c.state,
    sqlite_where=object_.c.state != "placed",
    postgresql_where=object_.c.state != "placed",
)

#: Few beside all others, and the only ones that are ever looked through.
_PLACED_PACK = text("kind = 'pack' AND state = 'placed'")
Index("ix_object_pack", object_.c.id, sqlite_where=_PLACED_PACK, postgresql_where=_PLACED_PACK)

extent = Table(
    "extent",
    metadata,
    Column("content", Id, ForeignKey("content.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("object", Id, ForeignKey("object.id"), nullable=False),
    Column("off", BigInteger, nullable=False),
    Column("len", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_extent_object", extent.c.object, extent.c.off)

#: What was made of a content and can be made again, such as an index of its lines. A derived content lives as long as
#: its source does, and no entry ever names it.
derived = Table(
    "derived",
    metadata,
    Column("source", Id, ForeignKey("content.id"), primary_key=True),
    Column("kind", PathText, primary_key=True),
    Column("content", Id, ForeignKey("content.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_derived_content", derived.c.content)

#: What was found out about a content when it was examined as what an entry says it is; "" is as nothing.
examination = Table(
    "examination",
    metadata,
    Column("content", Id, ForeignKey("content.id"), primary_key=True),
    Column("wanted", PathText, primary_key=True),
    # good, bad, unfinished, unchecked
    Column("standing", Text, nullable=False),
    Column("recognised", Text),
    Column("examined_as", Text),
    Column("compression", Text),
    Column("found", BigInteger, nullable=False),
    Column("findings", Json, nullable=False),
    Column("facts", Json, nullable=False),
    Column("checked_with", Json, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

#: Single values among the facts of an examination, to be compared: a number or a text in lower case.
fact = Table(
    "fact",
    metadata,
    Column("content", Id, ForeignKey("content.id"), primary_key=True),
    Column("wanted", PathText, primary_key=True),
    Column("place", SmallInteger, primary_key=True),
    Column("name", PathText, nullable=False),
    Column("number", Double),
    Column("word", PathText),
    sqlite_with_rowid=False,
)
Index("ix_fact_number", fact.c.name, fact.c.number, fact.c.content)
Index("ix_fact_word", fact.c.name, fact.c.word, fact.c.content)
Index("ix_examination_standing", examination.c.standing, examination.c.content)

upload = Table(
    "upload",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("owner", Id, ForeignKey("user.id")),
    Column("token", Id, ForeignKey("token.id")),
    Column("state", Text, nullable=False),
    # Staging and object share one key of our own.
    Column("key", Text, nullable=False, unique=True),
    Column("received", BigInteger, nullable=False, default=0),
    Column("durable", BigInteger, nullable=False, default=0),
    Column("boot_id", Text, nullable=False),
    Column("length", BigInteger),
    Column("sha256", LargeBinary),
    Column("crc32c", BigInteger),
    Column("file_name", Text),
    Column("media", Text),
    # What it becomes when whole: nothing yet, a path in a version, a slot of a version, a part of a concatenation.
    Column("project", Id, ForeignKey("project.id")),
    Column("version", Id, ForeignKey("version.id")),
    Column("purpose", Text, nullable=False),
    Column("detail", Json, nullable=False, default=dict),
    Column("content", Id, ForeignKey("content.id")),
    Column("created_at", Instant, nullable=False),
    Column("touched_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_upload_expires_at", upload.c.expires_at)
Index("ix_upload_version", upload.c.version)
Index("ix_upload_content", upload.c.content)
Index("ix_upload_owner", upload.c.owner, upload.c.id)

#: What came together in one upload, the members of a pack: they are held as long as the upload's row is.
packed = Table(
    "packed",
    metadata,
    Column("upload", Id, ForeignKey("upload.id"), primary_key=True),
    Column("content", Id, ForeignKey("content.id"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("ix_packed_content", packed.c.content)

#: Background work: queue and what clients poll in one row.
job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Json, nullable=False),
    # ready, running, done, failed, cancelled
    Column("state", Text, nullable=False),
    Column("due", Instant, nullable=False),
    Column("fence", Integer, nullable=False, default=0),
    Column("lease", Instant),
    Column("worker", Text),
    Column("attempt", Integer, nullable=False, default=0),
    Column("max_attempts", Integer, nullable=False, default=5),
    Column("progress", Json),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("result", Json),
    Column("error", Json),
    Column("dedupe", Text, unique=True),
    Column("shown", Boolean, nullable=False, default=True),
    Column("starter", Id, ForeignKey("user.id")),
    Column("project", Id),
    Column("version", Id),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    # The id of the request that asked for it, for the log.
    Column("request", Text),
    sqlite_autoincrement=True,
)
Index(
    "ix_job_ready",
    job.c.queue,
    job.c.due,
    job.c.id,
    sqlite_where=job.c.state == "ready",
    postgresql_where=job.c.state == "ready",
)
Index("ix_job_running", job.c.lease, sqlite_where=job.c.state == "running", postgresql_where=job.c.state == "running")
Index("ix_job_version", job.c.version, job.c.id)
Index("ix_job_starter", job.c.starter, job.c.id)
Index("ix_job_ended_at", job.c.ended_at)
