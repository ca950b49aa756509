"""Claims about contents and what they point to."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from temporal_pipeline.database import Queries
from temporal_pipeline.operations.verification.claims import (
    BY_HAND,
    PERIODS,
    UPDATE,
    Examination,
    Finding,
    claim,
)

CONTENTS = Queries("temporal_pipeline.defs.contents")

LINK_ANEW = (
    "set analysis_period_id of these contents to NULL and delete their rows of that period in "
    "period_content_snapshots; the next `temporal-pipeline update` links them anew"
)


@claim(
    "Every content is in a period, waits for one, lies in the future or belongs to nobody.",
    f"look for contents whose period or owner there is not; {BY_HAND}",
)
def contents_add_up(examination: Examination) -> Finding:
    now = examination.connection.exec_driver_sql("SELECT now()").scalar_one()
    parts = {
        "linked": int(examination.periods[0]["linked"]),
        "waiting": sum(row["contents"] for row in examination.waiting),
        "without_owner": examination.number("unlinked_contents_without_owner"),
        "in_the_future": examination.number("future_contents", PERIODS, instant=now),
    }
    total = examination.number("contents_in_total")
    astray = total - sum(parts.values())
    return Finding(
        [{"contents": astray}] if astray else [],
        {"total": total, **parts},
        note=reasons_to_wait(examination.waiting),
    )


def reasons_to_wait(waiting: Sequence[dict[str, Any]]) -> str:
    """Why contents wait, and how many for each reason."""
    counted: Counter[str] = Counter()
    for row in waiting:
        counted[row["reason"] or "the next update links them"] += row["contents"]
    return "; ".join(f"{contents:,} wait: {reason}" for reason, contents in counted.most_common())


@claim("Every content that the last finished cut of its owner had to link points to a period.", UPDATE)
def every_due_content_is_linked(examination: Examination) -> Finding:
    cuts = examination.rows("unlinked_due_contents")
    return Finding(
        cuts,
        {
            "unlinked": sum(cut["contents"] for cut in cuts),
            "held_by_the_application": sum(min(cut["held"], cut["contents"]) for cut in cuts),
        },
        # What the application held at that moment is linked by the next cut.
        only_warns=all(cut["contents"] <= cut["held"] for cut in cuts),
    )


@claim("Every prepared content has both times and a relevance, or a note that says why not.", BY_HAND)
def every_prepared_content_has_an_answer_or_a_reason(examination: Examination) -> Finding:
    return Finding(examination.rows("prepared_without_answer", CONTENTS), only_warns=True)


@claim("Every relevance score is a number from 0 to 1.", BY_HAND)
def relevance_scores_are_in_range(examination: Examination) -> Finding:
    return Finding(examination.rows("scores_out_of_range", CONTENTS))


@claim("Every pointer goes to a period of the content's topic, or of its user if it has no topic.", LINK_ANEW)
def every_pointer_goes_to_a_period_of_its_primary_owner(examination: Examination) -> Finding:
    return Finding(
        examination.contradicted("has_contents_of_others", "contents"),
        {"pointers": int(examination.periods[0]["linked"])},
    )


@claim(
    "No content points to a superseded period.",
    "set analysis_period_id of these contents to the superseded_by of their period",
)
def no_pointer_goes_to_a_superseded_period(examination: Examination) -> Finding:
    return Finding(examination.contradicted("is_superseded_with_contents", "contents"))


@claim("No content points to a draft that a finished cut left over.", LINK_ANEW)
def no_pointer_goes_to_a_draft_of_a_finished_cut(examination: Examination) -> Finding:
    return Finding(examination.contradicted("is_left_over_with_contents", "contents"))


@claim(
    "Every period's bounds contain its contents, but for late arrivals that its snapshot marks as such.",
    BY_HAND,
)
def every_period_contains_its_contents(examination: Examination) -> Finding:
    return Finding(examination.contradicted("is_outside_of_bounds", "before_start", "late", "after_end"))


RULES = (
    contents_add_up,
    every_due_content_is_linked,
    every_prepared_content_has_an_answer_or_a_reason,
    relevance_scores_are_in_range,
    every_pointer_goes_to_a_period_of_its_primary_owner,
    no_pointer_goes_to_a_superseded_period,
    no_pointer_goes_to_a_draft_of_a_finished_cut,
    every_period_contains_its_contents,
)
