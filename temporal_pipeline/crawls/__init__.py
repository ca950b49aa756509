"""When an entity was crawled, and what time its crawls cover."""

from temporal_pipeline.crawls.coverage import (
    Crawl,
    closed_until,
    covered_intervals,
    covered_share,
    hourly_mask,
    merged,
)
from temporal_pipeline.crawls.reading import crawls_of

__all__ = [
    "Crawl",
    "closed_until",
    "covered_intervals",
    "covered_share",
    "crawls_of",
    "hourly_mask",
    "merged",
]
