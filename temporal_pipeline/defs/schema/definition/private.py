"""What is ours alone: working tables in a schema of their own, and indexes through which work is found."""

from temporal_pipeline.defs.schema.definition.steps import Index

PRIVATE_SCHEMA = "temporal_pipeline"
# In an order in which each can be dropped, the last one first.
PRIVATE_TABLES = {
    "cut": """CREATE TABLE temporal_pipeline.cut (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL,
    kind text NOT NULL DEFAULT 'update' CHECK (kind IN ('update', 'reanalysis')),
    instant timestamptz NOT NULL,
    since timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    finished_by text,
    held integer NOT NULL DEFAULT 0
);
-- A run makes one cut; it may analyse many periods again.
CREATE UNIQUE INDEX one_cut_per_run ON temporal_pipeline.cut (run_id) WHERE kind = 'update'""",
    "period_cut": """CREATE TABLE temporal_pipeline.period_cut (
    cut_id bigint NOT NULL REFERENCES temporal_pipeline.cut ON DELETE CASCADE,
    entity_type varchar(20) NOT NULL,
    entity_id uuid NOT NULL,
    ready boolean NOT NULL,
    period_id uuid UNIQUE REFERENCES analysis_periods ON DELETE SET NULL,
    closed_by text,
    PRIMARY KEY (cut_id, entity_type, entity_id)
)""",
    "prepared_content": """CREATE TABLE temporal_pipeline.prepared_content (
    content_id uuid PRIMARY KEY REFERENCES contents ON DELETE CASCADE,
    method text NOT NULL,
    scored boolean NOT NULL,
    note text,
    prepared_at timestamptz NOT NULL DEFAULT now()
)""",
    "period_stage": """CREATE TABLE temporal_pipeline.period_stage (
    period_id uuid NOT NULL REFERENCES analysis_periods ON DELETE CASCADE,
    stage text NOT NULL,
    method text NOT NULL,
    run_id text,
    done_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (period_id, stage)
)""",
    "problem": """CREATE TABLE temporal_pipeline.problem (
    stage text NOT NULL,
    entity_type varchar(20) NOT NULL,
    entity_id uuid NOT NULL,
    reason text NOT NULL,
    run_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stage, entity_type, entity_id)
)""",
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
