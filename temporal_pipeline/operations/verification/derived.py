"""Claims about what is derived from periods: events, effectiveness, trends, and everything that refers to them."""

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.trends.refreshing import disagreements
from temporal_pipeline.operations.verification.claims import BY_HAND, UPDATE, Examination, Finding, claim

# What marks events of our detector, as `defs.events.reading` names it, whose other imports take long.
DETECTOR = "temporal_pipeline"
EVENTS = Queries("temporal_pipeline.defs.events")
EFFECTIVENESS = Queries("temporal_pipeline.defs.effectiveness")


@claim("Every row that names a period, an event or a query's figures names one that exists.", BY_HAND)
def every_reference_leads_somewhere(examination: Examination) -> Finding:
    without_period = [
        {
            "what": "contents and snapshots",
            "rows": row["contents"] + row["members"],
            "missing": row["period_id"],
        }
        for row in examination.periods
        if row["is_missing"]
    ]
    counts = examination.first("rows_of_everything")
    assert counts is not None
    return Finding(
        [*without_period, *examination.rows("references_to_missing_rows")],
        dict(counts._mapping) | {"snapshots": int(examination.periods[0]["all_members"])},
    )


@claim("Events and effectiveness belong to the topic or user of their period.", BY_HAND)
def derived_rows_belong_to_the_entity_of_their_period(examination: Examination) -> Finding:
    return Finding(examination.rows("rows_of_another_entity"))


@claim("Each volume event names at least one post that shows it.", UPDATE)
def every_volume_event_has_evidence(examination: Examination) -> Finding:
    return Finding(examination.rows("volume_events_without_evidence", EVENTS, detector=DETECTOR))


@claim("Each post that was taken as evidence has a weight from 0 to 1.", BY_HAND)
def event_weights_are_in_range(examination: Examination) -> Finding:
    return Finding(examination.rows("evidence_out_of_range", EVENTS, detector=DETECTOR))


@claim("Every score, mean relevance and coverage of a query is a number from 0 to 1, or unknown.", BY_HAND)
def effectiveness_scores_are_in_range(examination: Examination) -> Finding:
    return Finding(examination.rows("scores_out_of_range", EFFECTIVENESS))


@claim("Every measured period with contents of its own has a row for each query that found them.", BY_HAND)
def every_measured_period_has_its_queries(examination: Examination) -> Finding:
    return Finding(examination.rows("periods_without_queries", EFFECTIVENESS))


@claim("Every crawl task that found contents of a measured period knows its period and its row.", UPDATE)
def every_crawl_task_of_a_measured_period_is_linked(examination: Examination) -> Finding:
    return Finding(examination.rows("unlinked_tasks_with_contents", EFFECTIVENESS), only_warns=True)


@claim("The trend view says what the active periods say.", f"{UPDATE}, or Dagster's job `refresh`")
def trend_view_agrees_with_periods(examination: Examination) -> Finding:
    stale = [dict(row._mapping) for row in disagreements(examination.connection)]
    return Finding(stale, only_warns=True)


RULES = (
    every_reference_leads_somewhere,
    derived_rows_belong_to_the_entity_of_their_period,
    every_volume_event_has_evidence,
    event_weights_are_in_range,
    effectiveness_scores_are_in_range,
    every_measured_period_has_its_queries,
    every_crawl_task_of_a_measured_period_is_linked,
    trend_view_agrees_with_periods,
)
