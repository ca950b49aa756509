"""The application's own tables: where everything comes from. The pipeline reads them and never makes them."""

from collections.abc import Sequence

import dagster as dg

from temporal_pipeline.automation import FOLLOWS_CRAWLS
from temporal_pipeline.reporting import docs


def _table(
    name: str, description: str, deps: Sequence[str] = (), freshness: dg.FreshnessPolicy | None = None
) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=deps,
        group_name="crosshot",
        kinds={"postgres", "table"},
        owners=["team:data"],
        description=description,
        metadata={"dagster/table_name": name, **docs("concepts.md")},
        freshness_policy=freshness,
    )


topics = _table("topics", "What the crawler follows: a name, keywords, platforms, a crawl interval.")
users = _table("users", "Whom the crawler follows: an account on a platform, with a crawl interval.")
contents = _table(
    "contents",
    "Every post that a crawl has found, once; a later crawl updates its text and metrics in place. The "
    "sensor `new_crawls` reports what waits here for a period.",
    deps=["tasks"],
    freshness=FOLLOWS_CRAWLS,
)
tasks = _table(
    "tasks",
    "The crawler's work: what was asked of which platform, when it ran, what it found.",
    deps=["topics", "users"],
)
chat_messages = _table(
    "chat_messages", "What analysts asked the application about a topic or user.", deps=["topics", "users"]
)
