"""The temporal schema: names, columns, types and defaults are a contract with the Crosshot application.

Constraints with `any_name` are those whose name is not part of it.
"""

from temporal_pipeline.defs.schema.definition.steps import Column, Constraint, Index, Table

REVISIONS = ("20260301_0100", "20260301_0200", "20260301_0300")
HEAD = REVISIONS[-1]

# The tables of the application that we alter; a database without them is not a Crosshot database.
LEGACY_TABLES = ("tasks", "contents", "topics", "users", "chat_messages")

EXTENSIONS = ("btree_gist", "pg_trgm")


def _id() -> Column:
    return Column("id", "uuid", default="gen_random_uuid()", required=True)


def _now(name: str) -> Column:
    return Column(name, "timestamptz", default="now()", required=True)


def _json(name: str, *, required: bool = True) -> Column:
    return Column(name, "jsonb", default="'{}'", required=required)


def _count(name: str, default: str = "0") -> Column:
    return Column(name, "integer", default=default, required=True)


def _required(name: str, type_: str) -> Column:
    return Column(name, type_, required=True)


def _share(column: str, name: str, *, any_name: bool = False) -> Constraint:
    return Constraint(f"CHECK ({column} >= 0 AND {column} <= 1)", name, any_name)


def _reference(column: str, table: str, on_delete: str, name: str, *, any_name: bool = True) -> Constraint:
    definition = f"FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE {on_delete}"
    return Constraint(definition, name, any_name)


ANALYSIS_PERIODS = Table(
    "analysis_periods",
    (
        _id(),
        _required("entity_type", "varchar(20)"),
        _required("entity_id", "uuid"),
        _required("period_start", "timestamptz"),
        _required("period_end", "timestamptz"),
        _now("analyzed_at"),
        _required("period_number", "integer"),
        _required("duration_hours", "double precision"),
        Column("status", "varchar(20)", default="'active'", required=True),
        Column("superseded_by", "uuid"),
        Column("supersession_reason", "text"),
        _count("content_count"),
        _required("summary", "text"),
        Column("summary_short", "text"),
        _json("insights"),
        _json("metrics"),
        _json("metrics_delta"),
        Column("tasks_dispatched", "uuid[]", default="'{}'", required=True),
        _json("tasks_summary"),
        Column("chat_summary", "text"),
        _count("knowledge_version", "1"),
        Column("knowledge_doc", "text", compression="pglz"),
        Column("knowledge_diff", "jsonb"),
        Column("quality_score", "double precision"),
        Column("completeness_score", "double precision"),
        _json("execution_log", required=False),
        _now("created_at"),
        _now("updated_at"),
    ),
    primary_key="id",
    constraints=(
        Constraint("CHECK (entity_type IN ('topic', 'user'))", "valid_entity_type"),
        Constraint(
            "CHECK (status IN ('active', 'draft', 'superseded', 'failed', 'archived'))", "valid_status"
        ),
        Constraint("CHECK (period_end > period_start)", "valid_period"),
        _share("quality_score", "valid_quality_score"),
        _share("completeness_score", "valid_completeness_score"),
        _reference("superseded_by", "analysis_periods", "SET NULL", "fk_periods_superseded_by"),
        Constraint(
            "EXCLUDE USING gist (entity_type WITH =, entity_id WITH =,"
            " tstzrange(period_start, period_end) WITH &&) WHERE (status = 'active')",
            "no_overlapping_periods",
        ),
    ),
    indexes=(
        Index(
            "unique_active_period_number",
            "(entity_type, entity_id, period_number) WHERE status = 'active'",
            unique=True,
        ),
        Index("idx_periods_topic", "(entity_id) WHERE entity_type = 'topic'"),
        Index("idx_periods_user", "(entity_id) WHERE entity_type = 'user'"),
        Index("idx_periods_analyzed_at", "(analyzed_at)"),
        Index("idx_periods_status", "(status)"),
    ),
)

PERIOD_CONTENT_SNAPSHOTS = Table(
    "period_content_snapshots",
    (
        _id(),
        _required("period_id", "uuid"),
        _required("content_id", "uuid"),
        Column("contribution_type", "varchar(32)", default="'general'", required=True),
        Column("relevance_score", "double precision"),
        Column("text_snapshot", "text"),
        Column("key_points_snapshot", "jsonb"),
        _now("created_at"),
    ),
    primary_key="id",
    constraints=(
        _reference("period_id", "analysis_periods", "CASCADE", "fk_snapshots_period", any_name=False),
        _reference("content_id", "contents", "CASCADE", "fk_snapshots_content", any_name=False),
        _share("relevance_score", "valid_relevance_score"),
        Constraint("UNIQUE (period_id, content_id)", "unique_period_content"),
    ),
    indexes=(
        Index("idx_snapshot_content", "(content_id)"),
        # Without the text: a B-tree row holds 2.7 kB at the most, and a longer text made the insert fail.
        Index(
            "idx_snapshot_period_covering",
            "(period_id, relevance_score DESC) INCLUDE (content_id, contribution_type)",
        ),
    ),
)

TEMPORAL_EVENTS = Table(
    "temporal_events",
    (
        _id(),
        _required("period_id", "uuid"),
        _required("entity_type", "varchar(20)"),
        _required("entity_id", "uuid"),
        _required("event_type", "varchar(32)"),
        Column("severity", "varchar(16)", default="'info'", required=True),
        _required("title", "varchar(256)"),
        _required("description", "text"),
        _required("first_detected_at", "timestamptz"),
        _now("last_updated_at"),
        Column("resolved_at", "timestamptz"),
        Column("resolution_note", "text"),
        _json("metadata"),
        _now("created_at"),
    ),
    primary_key="id",
    constraints=(
        _reference("period_id", "analysis_periods", "CASCADE", "fk_events_period"),
        Constraint("CHECK (severity IN ('info', 'warning', 'critical'))", "valid_severity", any_name=True),
    ),
    indexes=(
        Index("idx_events_period", "(period_id)"),
        Index("idx_events_entity", "(entity_type, entity_id, first_detected_at)"),
        Index("idx_events_unresolved", "(entity_type, entity_id, resolved_at) WHERE resolved_at IS NULL"),
        Index("idx_events_type", "(event_type)"),
    ),
)

EVENT_CONTENTS = Table(
    "event_contents",
    (
        _required("event_id", "uuid"),
        _required("content_id", "uuid"),
        Column("relevance_to_event", "double precision"),
        _now("added_at"),
    ),
    primary_key="event_id, content_id",
    constraints=(
        _reference("event_id", "temporal_events", "CASCADE", "fk_event_contents_event"),
        _reference("content_id", "contents", "CASCADE", "fk_event_contents_content"),
        _share("relevance_to_event", "valid_relevance_to_event", any_name=True),
    ),
)

CRAWL_EFFECTIVENESS = Table(
    "crawl_effectiveness",
    (
        _id(),
        _required("period_id", "uuid"),
        _required("entity_type", "varchar(20)"),
        _required("entity_id", "uuid"),
        _required("platform", "varchar(16)"),
        _required("query", "text"),
        _count("total_found"),
        _count("relevant_count"),
        _count("high_value_count"),
        Column("effectiveness_score", "double precision"),
        Column("avg_relevance", "double precision"),
        Column("coverage_ratio", "double precision"),
        Column("recommendations", "text"),
        _now("created_at"),
    ),
    primary_key="id",
    constraints=(
        _reference("period_id", "analysis_periods", "CASCADE", "fk_effectiveness_period"),
        _share("effectiveness_score", "valid_effectiveness_score", any_name=True),
        _share("avg_relevance", "valid_avg_relevance", any_name=True),
        _share("coverage_ratio", "valid_coverage_ratio", any_name=True),
    ),
    indexes=(
        Index("idx_effectiveness_period", "(period_id)"),
        Index("idx_effectiveness_entity", "(entity_type, entity_id, created_at)"),
        Index("idx_effectiveness_platform", "(platform)"),
        Index("idx_effectiveness_query_trgm", "USING gin (query gin_trgm_ops)"),
        Index("idx_effectiveness_score", "(effectiveness_score DESC NULLS LAST)"),
    ),
)

TABLES = (ANALYSIS_PERIODS, PERIOD_CONTENT_SNAPSHOTS, TEMPORAL_EVENTS, EVENT_CONTENTS, CRAWL_EFFECTIVENESS)


def _entity_columns(table: str) -> Table:
    return Table(
        table,
        (
            Column("current_period_number", "integer"),
            Column("last_period_id", "uuid"),
            _count("total_periods"),
            Column("first_analysis_at", "timestamptz"),
            Column("avg_period_duration_hours", "double precision"),
        ),
        constraints=(
            _reference("last_period_id", "analysis_periods", "SET NULL", f"fk_{table}_last_period"),
        ),
        indexes=(Index(f"idx_{table}_last_period", "(last_period_id)"),),
    )


ALTERED_TABLES = (
    _entity_columns("topics"),
    _entity_columns("users"),
    Table(
        "contents",
        (
            Column("analysis_period_id", "uuid"),
            Column("published_at", "timestamptz"),
            # With its default at once, every old row would claim to be discovered at the migration.
            Column("discovered_at", "timestamptz", default="now()", only_new_rows=True),
            Column("relevance_score", "double precision"),
        ),
        constraints=(
            _reference(
                "analysis_period_id",
                "analysis_periods",
                "SET NULL",
                "fk_contents_analysis_period",
                any_name=False,
            ),
            _share("relevance_score", "valid_content_relevance"),
        ),
        indexes=(
            Index("idx_contents_period", "(analysis_period_id)"),
            Index("idx_contents_published_at", "(published_at)"),
            Index("idx_contents_discovered_at", "(discovered_at)"),
            Index("idx_contents_relevance", "(relevance_score DESC NULLS LAST)"),
        ),
    ),
    Table(
        "tasks",
        (
            Column("period_id", "uuid"),
            Column("effectiveness_id", "uuid"),
            Column("duration_seconds", "double precision"),
        ),
        constraints=(
            _reference("period_id", "analysis_periods", "SET NULL", "fk_tasks_period"),
            _reference("effectiveness_id", "crawl_effectiveness", "SET NULL", "fk_tasks_effectiveness"),
        ),
        indexes=(
            Index("idx_tasks_period", "(period_id)"),
            Index("idx_tasks_effectiveness", "(effectiveness_id)"),
        ),
    ),
    Table(
        "chat_messages",
        (Column("period_id", "uuid"),),
        constraints=(_reference("period_id", "analysis_periods", "SET NULL", "fk_chat_messages_period"),),
        indexes=(Index("idx_chat_messages_period", "(period_id)"),),
    ),
)

VIEWS = ("v_period_timeline", "v_entity_timeline_summary", "v_crawl_effectiveness_ranking")
MATERIALIZED_VIEW = "mv_period_metrics_trend"
# The argument types, without which an older function of that name would stay beside ours.
FUNCTIONS = {
    "get_period_by_number": "character varying, uuid, integer",
    "get_content_timeline": (
        "character varying, uuid, timestamp with time zone, timestamp with time zone, double precision"
    ),
    "detect_metric_anomalies": "character varying, uuid, text, double precision",
    "recompute_metrics_delta": "uuid",
}
