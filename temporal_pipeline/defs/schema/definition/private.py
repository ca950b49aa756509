"""What is ours alone: working tables in a schema of their own, and indexes through which work is found."""

from temporal_pipeline.defs.schema.definition.steps import Column, Constraint, Index, Table

PRIVATE_SCHEMA = "temporal_pipeline"


def _reference(column: str, table: str, on_delete: str, name: str) -> Constraint:
    definition = f"FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE {on_delete}"
    return Constraint(definition, name, any_name=True)


# In an order in which each can be dropped, the last one first.
PRIVATE_TABLES = {
    "cut": Table(
        f"{PRIVATE_SCHEMA}.cut",
        (
            Column("id", "bigint", numbered=True, required=True),
            Column("run_id", "text", required=True),
            Column("kind", "text", default="'update'", required=True),
            Column("instant", "timestamptz", required=True),
            Column("since", "timestamptz"),
            Column("started_at", "timestamptz", default="now()", required=True),
            Column("finished_at", "timestamptz"),
            Column("finished_by", "text"),
            Column("held", "integer", default="0", required=True),
        ),
        primary_key="id",
        constraints=(
            Constraint("CHECK (kind IN ('update', 'reanalysis'))", "cut_kind_check", any_name=True),
        ),
        # A run makes one cut; it may analyse many periods again.
        indexes=(Index("one_cut_per_run", "(run_id) WHERE kind = 'update'", unique=True),),
    ),
    "period_cut": Table(
        f"{PRIVATE_SCHEMA}.period_cut",
        (
            Column("cut_id", "bigint", required=True),
            Column("entity_type", "varchar(20)", required=True),
            Column("entity_id", "uuid", required=True),
            Column("ready", "boolean", required=True),
            Column("period_id", "uuid"),
            Column("closed_by", "text"),
        ),
        primary_key="cut_id, entity_type, entity_id",
        constraints=(
            _reference("cut_id", f"{PRIVATE_SCHEMA}.cut", "CASCADE", "period_cut_cut_id_fkey"),
            _reference("period_id", "analysis_periods", "SET NULL", "period_cut_period_id_fkey"),
            Constraint("UNIQUE (period_id)", "period_cut_period_id_key"),
        ),
    ),
    "prepared_content": Table(
        f"{PRIVATE_SCHEMA}.prepared_content",
        (
            Column("content_id", "uuid", required=True),
            Column("method", "text", required=True),
            Column("scored", "boolean", required=True),
            Column("note", "text"),
            Column("prepared_at", "timestamptz", default="now()", required=True),
        ),
        primary_key="content_id",
        constraints=(_reference("content_id", "contents", "CASCADE", "prepared_content_content_id_fkey"),),
    ),
    "period_stage": Table(
        f"{PRIVATE_SCHEMA}.period_stage",
        (
            Column("period_id", "uuid", required=True),
            Column("stage", "text", required=True),
            Column("method", "text", required=True),
            Column("run_id", "text"),
            Column("done_at", "timestamptz", default="now()", required=True),
        ),
        primary_key="period_id, stage",
        constraints=(_reference("period_id", "analysis_periods", "CASCADE", "period_stage_period_id_fkey"),),
    ),
    "problem": Table(
        f"{PRIVATE_SCHEMA}.problem",
        (
            Column("stage", "text", required=True),
            Column("entity_type", "varchar(20)", required=True),
            Column("entity_id", "uuid", required=True),
            Column("reason", "text", required=True),
            Column("run_id", "text", required=True),
            Column("since", "timestamptz", default="now()", required=True),
        ),
        primary_key="stage, entity_type, entity_id",
    ),
}

_CRAWLS = "WHERE label LIKE 'crawler:%' OR label LIKE 'searcher:%'"
# Work to do is found through these, never by reading a whole table.
EXTRA_INDEXES = {
    "contents": (
        Index(
            "idx_contents_unlinked",
            "(crawled_at, id) INCLUDE (topic_id, user_id, discovered_at)"
            " WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL)",
        ),
        Index("idx_contents_unowned", "(id) WHERE topic_id IS NULL AND user_id IS NULL"),
        Index(
            "idx_contents_unprepared",
            "(id) WHERE relevance_score IS NULL OR published_at IS NULL OR discovered_at IS NULL",
        ),
        Index(
            "idx_contents_shared",
            "(user_id, analysis_period_id) WHERE topic_id IS NOT NULL AND user_id IS NOT NULL",
        ),
    ),
    # Each content that the application deletes is looked for here.
    "event_contents": (Index("idx_event_contents_content", "(content_id)"),),
    "tasks": (
        Index("idx_tasks_crawl_topic", f"((payload ->> 'topic_id')) {_CRAWLS}"),
        Index("idx_tasks_crawl_user", f"((payload ->> 'user_id')) {_CRAWLS}"),
        Index("idx_tasks_unmeasured", "(id) WHERE duration_seconds IS NULL AND completed_at IS NOT NULL"),
    ),
}
