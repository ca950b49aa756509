"""What is ours alone: working tables in a schema of their own."""

from temporal_pipeline.defs.schema.definition.steps import Column, Constraint, Index, Table

PRIVATE_SCHEMA = "temporal_pipeline"


def _counts(*names: str, kind: str = "integer") -> tuple[Column, ...]:
    return tuple(Column(name, kind, required=True) for name in names)


def _reference(column: str, table: str, on_delete: str, name: str) -> Constraint:
    definition = f"FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE {on_delete}"
    return Constraint(definition, name, any_name=True)


_LONG = "double precision"
_ENTITY = (Column("entity_type", "varchar(20)", required=True), Column("entity_id", "uuid", required=True))
_QUERY = (
    *_ENTITY,
    Column("platform", "varchar(16)", required=True),
    Column("normal_form", "text", required=True),
)
# What a query brought beyond what the application's table has columns for.
_BROUGHT = (
    *_counts("runs", "empty_runs", "failed_runs"),
    *_counts("seconds", "found", kind=_LONG),
    *_counts("contents", "scored", "relevant", "high_value"),
    *_counts("relevance_sum", kind=_LONG),
    *_counts("identified", "unique_contents"),
)
_JUDGED = (
    *_counts("score", "score_lower", "score_upper", "rank_key", "entity_mean", "prior_strength", kind=_LONG),
    Column("verdict", "text", required=True),
)

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
            *_ENTITY,
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
            # What we wrote: another value in the content is somebody else's.
            Column("relevance_score", "double precision"),
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
            # Of the stage 'snapshots' only: whether the queries of the frozen period are still to be measured.
            Column("unmeasured", "boolean", default="true", required=True),
        ),
        primary_key="period_id, stage",
        constraints=(_reference("period_id", "analysis_periods", "CASCADE", "period_stage_period_id_fkey"),),
        indexes=(
            Index("idx_period_stage_unmeasured", "(period_id) WHERE unmeasured AND stage = 'snapshots'"),
        ),
    ),
    # What each query brought in each period, and how it was judged then.
    "query_measurement": Table(
        f"{PRIVATE_SCHEMA}.query_measurement",
        (
            Column("effectiveness_id", "uuid", required=True),
            Column("period_id", "uuid", required=True),
            Column("period_end", "timestamptz", required=True),
            *_QUERY,
            # Whether the row of crawl_effectiveness was written by the pipeline.
            Column("ours", "boolean", required=True),
            *_BROUGHT,
            Column("silence", "integer", required=True),
            Column("shared", "jsonb", required=True),
            *_JUDGED,
            # Since when the application's table tells another judgement than at first.
            Column("rejudged_at", "timestamptz"),
        ),
        primary_key="effectiveness_id",
        constraints=(
            _reference(
                "effectiveness_id",
                "crawl_effectiveness",
                "CASCADE",
                "query_measurement_effectiveness_id_fkey",
            ),
        ),
        indexes=(Index("idx_query_measurement_query", "(entity_id, platform, normal_form, period_end)"),),
    ),
    # What is remembered of each query, as of the end of its last period; `contents` and the like since its first run.
    "query_effectiveness": Table(
        f"{PRIVATE_SCHEMA}.query_effectiveness",
        (
            *_QUERY,
            Column("query", "text", required=True),
            Column("effectiveness_id", "uuid", required=True),
            Column("as_of", "timestamptz", required=True),
            Column("periods", "integer", required=True),
            *_BROUGHT,
            Column("silence", "integer", required=True),
            *_counts(
                "faded_relevant",
                "faded_scored",
                "faded_relevant_squares",
                "faded_scored_squares",
                "faded_identified",
                kind=_LONG,
            ),
            Column("faded_shared", "jsonb", required=True),
            *_JUDGED,
            Column("recommendation", "text", required=True),
        ),
        primary_key="entity_id, entity_type, platform, normal_form",
    ),
    # The sums over the queries of an entity on a platform, so that none of them has to be read again.
    "entity_effectiveness": Table(
        f"{PRIVATE_SCHEMA}.entity_effectiveness",
        (
            *_QUERY[:3],
            Column("as_of", "timestamptz", required=True),
            *_counts("queries", "measurements"),
            *_counts(
                "relevant",
                "scored",
                "relevant_squares",
                "scored_squares",
                "query_relevant_squares",
                "query_scored_squares",
                "pair_excess",
                "pair_spread",
                kind=_LONG,
            ),
        ),
        primary_key="entity_id, entity_type, platform",
    ),
    # How a topic or a user writes (relevance/language.py), and how many contents it has in how many hours.
    "language_profile": Table(
        f"{PRIVATE_SCHEMA}.language_profile",
        (
            *_ENTITY,
            Column("method", "text", required=True),
            Column("posts", "double precision", required=True),
            Column("counts", "bytea", required=True),
            Column("closeness_sum", "double precision", required=True),
            Column("closeness_squares", "double precision", required=True),
            Column("contents", "double precision", required=True),
            Column("hours", "bigint", required=True),
            Column("unscored", "boolean", required=True),
            Column("learned_at", "timestamptz", default="now()", required=True),
        ),
        primary_key="entity_type, entity_id",
    ),
    "busy_hour": Table(
        f"{PRIVATE_SCHEMA}.busy_hour",
        (
            *_ENTITY,
            Column("hour", "timestamptz", required=True),
            Column("contents", "double precision", required=True),
        ),
        primary_key="entity_type, entity_id, hour",
        constraints=(
            Constraint(
                "FOREIGN KEY (entity_type, entity_id)"
                f" REFERENCES {PRIVATE_SCHEMA}.language_profile (entity_type, entity_id) ON DELETE CASCADE",
                "busy_hour_entity_type_entity_id_fkey",
                any_name=True,
            ),
        ),
    ),
    # What was published when, frozen with the period; without it each search would read contents again.
    "period_hour": Table(
        f"{PRIVATE_SCHEMA}.period_hour",
        (
            Column("period_id", "uuid", required=True),
            *_ENTITY,
            Column("hour", "integer", required=True),
            Column("posts", "integer", required=True),
            Column("approvals", "double precision", required=True),
            Column("replies", "double precision", required=True),
            Column("reactions", "double precision", required=True),
        ),
        primary_key="period_id, hour",
        constraints=(_reference("period_id", "analysis_periods", "CASCADE", "period_hour_period_id_fkey"),),
        indexes=(Index("idx_period_hour_entity", "(entity_type, entity_id, hour)"),),
    ),
    # How far an entity was watched for events, and which time its crawls cover up to there.
    "entity_watch": Table(
        f"{PRIVATE_SCHEMA}.entity_watch",
        (
            *_ENTITY,
            Column("watched_until", "timestamptz", required=True),
            Column("covered", "jsonb", required=True),
            Column("method", "text", required=True),
        ),
        primary_key="entity_type, entity_id",
    ),
    "problem": Table(
        f"{PRIVATE_SCHEMA}.problem",
        (
            Column("stage", "text", required=True),
            *_ENTITY,
            Column("reason", "text", required=True),
            Column("run_id", "text", required=True),
            Column("since", "timestamptz", default="now()", required=True),
        ),
        primary_key="stage, entity_type, entity_id",
    ),
    # What somebody is to be told, written in the transaction that brings it about; each of these once.
    "alert": Table(
        f"{PRIVATE_SCHEMA}.alert",
        (
            Column("id", "bigint", numbered=True, required=True),
            Column("subject", "text", required=True),
            Column("state", "text", required=True),
            Column("since", "timestamptz", required=True),
            Column("severity", "text", required=True),
            Column("about", "text", required=True),
            Column("title", "text", required=True),
            Column("details", "jsonb", required=True),
            Column("recorded_at", "timestamptz", default="now()", required=True),
        ),
        primary_key="id",
        constraints=(Constraint("UNIQUE (subject, state, since)", "alert_subject_state_since_key"),),
    ),
    # What is sent to a channel at once, and how that goes; the id is what receivers know it by.
    "alert_message": Table(
        f"{PRIVATE_SCHEMA}.alert_message",
        (
            Column("id", "uuid", required=True),
            Column("channel", "text", required=True),
            Column("created_at", "timestamptz", required=True),
            Column("attempts", "integer", required=True),
            Column("due_at", "timestamptz", required=True),
            # Whoever sends it has it until then; later somebody else may.
            Column("claimed_until", "timestamptz"),
            Column("failure", "text"),
            Column("delivered_at", "timestamptz"),
            Column("given_up_at", "timestamptz"),
        ),
        primary_key="id",
        indexes=(Index("idx_alert_message_waiting", "(channel, created_at) WHERE delivered_at IS NULL"),),
    ),
    # Of each alert one message per channel.
    "alert_in_message": Table(
        f"{PRIVATE_SCHEMA}.alert_in_message",
        (
            Column("channel", "text", required=True),
            Column("alert_id", "bigint", required=True),
            Column("message_id", "uuid", required=True),
        ),
        primary_key="channel, alert_id",
        constraints=(
            _reference("alert_id", f"{PRIVATE_SCHEMA}.alert", "RESTRICT", "alert_in_message_alert_id_fkey"),
            _reference(
                "message_id", f"{PRIVATE_SCHEMA}.alert_message", "CASCADE", "alert_in_message_message_id_fkey"
            ),
        ),
        indexes=(
            Index("idx_alert_in_message_alert", "(alert_id)"),
            Index("idx_alert_in_message_message", "(message_id)"),
        ),
    ),
}
