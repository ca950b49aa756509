"""Claims about periods and their members."""

from collections import Counter

from temporal_pipeline import problems
from temporal_pipeline.database import Queries
from temporal_pipeline.operations.verification.claims import (
    BY_HAND,
    PERIODS,
    UPDATE,
    Examination,
    Finding,
    claim,
)
from temporal_pipeline.operations.verification.contents import reasons_to_wait

SNAPSHOTS = Queries("temporal_pipeline.defs.snapshots")

RUN_AGAIN = "run `temporal-pipeline backfill` or `temporal-pipeline update`, which goes on where it stopped"
NO_RUN = {"run_id": ""}


@claim(
    "Every topic and user with linked contents has its Period 0.",
    "find out who removed it; a backup from before has it: `temporal-pipeline rollback --restore FILE`",
)
def every_owner_of_contents_has_period_zero(examination: Examination) -> Finding:
    owners = examination.rows("owners_by_period_zero")
    having = Counter(owner["entity_type"] for owner in owners if owner["has_zero"])
    without = [owner for owner in owners if not owner["has_zero"]]
    waiting = [row for row in examination.waiting if not row["has_period"]]
    return Finding(
        [
            {key: owner[key] for key in ("entity_type", "entity_id", "name", "ours")}
            for owner in without
            if not owner["is_excused"]
        ],
        {
            "topics": having["topic"],
            "users": having["user"],
            "failed_or_still_open": sum(owner["is_excused"] for owner in without),
            "still_waiting": len(waiting),
        },
        note=reasons_to_wait(waiting),
    )


@claim(
    "No two active periods of a topic or user share time or number.",
    "let one of the two be: UPDATE analysis_periods SET status = 'archived'; then `temporal-pipeline migrate`, "
    "which brings back the constraint that forbids it",
)
def active_periods_do_not_overlap(examination: Examination) -> Finding:
    pairs = examination.rows("overlapping_periods", PERIODS, **NO_RUN)
    return Finding([{key: row[key] for key in row if key != "of_this_run"} for row in pairs])


@claim("Period numbers of a topic or user run from 0 without a gap, each borne once.", BY_HAND)
def period_numbers_have_no_gap(examination: Examination) -> Finding:
    return Finding(examination.rows("gaps_in_numbering"))


@claim("Periods follow each other in time as their numbers do.", BY_HAND)
def period_numbers_follow_time(examination: Examination) -> Finding:
    return Finding(examination.rows("periods_out_of_order"))


@claim(
    "Every superseded period leads, by successors of the same owner and number, to one that stands.",
    "set superseded_by of the old period to the one that took its place",
)
def supersession_chains_end_in_a_standing_period(examination: Examination) -> Finding:
    return Finding(examination.rows("broken_supersessions"))


@claim(
    "The counters of every topic and user agree with its active periods.",
    "they are counted anew when its next period is closed: `temporal-pipeline update`; sooner, "
    "set total_periods, current_period_number and last_period_id by hand",
)
def entity_counters_agree_with_periods(examination: Examination) -> Finding:
    return Finding(examination.rows("disagreeing_counters", PERIODS))


@claim(
    "Every frozen period counts as many contents as it has members, and none of its contents was left out.",
    BY_HAND,
)
def content_count_equals_members(examination: Examination) -> Finding:
    totals = examination.periods[0]
    return Finding(
        examination.contradicted("is_miscounted", "content_count", "members", "contents"),
        {"members": int(totals["all_members"]), "deleted_since": int(totals["deleted_since"])},
    )


@claim(
    "Periods that the application made count as many contents as were found in them.",
    "nothing has to be done: the application's own figures are left alone",
)
def application_periods_count_their_members(examination: Examination) -> Finding:
    return Finding(examination.contradicted("differs_from_application", "content_count", "members"))


@claim("No content is a member of two active periods of one topic or user.", BY_HAND)
def no_content_is_in_two_periods_of_an_entity(examination: Examination) -> Finding:
    return Finding(examination.rows("members_in_two_periods"))


@claim("The members of every active period are frozen.", UPDATE)
def every_period_is_frozen(examination: Examination) -> Finding:
    return Finding(examination.rows("unfrozen_periods", SNAPSHOTS), only_warns=True)


@claim("A finished cut left no draft.", RUN_AGAIN)
def no_finished_cut_left_a_draft(examination: Examination) -> Finding:
    drafts = examination.rows("open_drafts")
    return Finding([draft for draft in drafts if draft["cut_is_finished"]], {"drafts": len(drafts)})


@claim("Every cut that was begun is finished.", RUN_AGAIN)
def no_cut_is_unfinished(examination: Examination) -> Finding:
    return Finding(examination.rows("unfinished_cuts"), only_warns=True)


@claim("No period waits to be closed.", RUN_AGAIN)
def no_draft_is_left(examination: Examination) -> Finding:
    return Finding(examination.rows("open_drafts"), only_warns=True)


@claim(
    "No topic or user failed in any stage.",
    "the reason says what to mend; the next `temporal-pipeline update` tries again",
)
def no_entity_failed(examination: Examination) -> Finding:
    failed = [dict(row._mapping) for row in problems.of_stage(examination.connection)]
    return Finding(failed, only_warns=True)


RULES = (
    every_owner_of_contents_has_period_zero,
    active_periods_do_not_overlap,
    period_numbers_have_no_gap,
    period_numbers_follow_time,
    supersession_chains_end_in_a_standing_period,
    entity_counters_agree_with_periods,
    content_count_equals_members,
    application_periods_count_their_members,
    no_content_is_in_two_periods_of_an_entity,
    every_period_is_frozen,
    no_finished_cut_left_a_draft,
    no_cut_is_unfinished,
    no_draft_is_left,
    no_entity_failed,
)
