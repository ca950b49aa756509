"""Indexes of ours on tables of the application and of the contract, through which work is found."""

from temporal_pipeline.defs.schema.definition.steps import Index

_CRAWLS = "WHERE label LIKE 'crawler:%' OR label LIKE 'searcher:%'"
# When a crawl began, as far as its task tells.
_BEGAN = "COALESCE(started_at, created_at)"
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
        # Linked posts by when they happened. What a crawler inserts is not linked yet, and costs it nothing here.
        Index(
            "idx_contents_topic_time",
            "(topic_id, (coalesce(published_at, crawled_at)), id)"
            " WHERE topic_id IS NOT NULL AND analysis_period_id IS NOT NULL",
        ),
        Index(
            "idx_contents_user_time",
            "(user_id, (coalesce(published_at, crawled_at)), id)"
            " WHERE user_id IS NOT NULL AND analysis_period_id IS NOT NULL",
        ),
    ),
    # A key of ours has one open event at a time, whoever writes it.
    "temporal_events": (
        Index(
            "one_open_event_per_key",
            "(entity_type, entity_id, (metadata ->> 'key'))"
            " WHERE resolved_at IS NULL AND (metadata ->> 'state') IN ('active', 'recovering')",
            unique=True,
        ),
    ),
    # Each content that the application deletes is looked for here.
    "event_contents": (Index("idx_event_contents_content", "(content_id)"),),
    "tasks": (
        Index("idx_tasks_crawl_topic", f"((payload ->> 'topic_id'), {_BEGAN}) {_CRAWLS}"),
        Index("idx_tasks_crawl_user", f"((payload ->> 'user_id'), {_BEGAN}) {_CRAWLS}"),
        Index(
            "idx_tasks_unlinked",
            "(id) WHERE effectiveness_id IS NULL AND (label LIKE 'crawler:%' OR label LIKE 'searcher:%')",
        ),
        Index("idx_tasks_unmeasured", "(id) WHERE duration_seconds IS NULL AND completed_at IS NOT NULL"),
    ),
}
