"""The asset that reads publication times and scores relevance."""

import time
import uuid

import dagster as dg
from sqlalchemy import Connection

from temporal_pipeline.automation import FOLLOWS_CRAWLS, WRITES, retried
from temporal_pipeline.bulk import told_in_lines
from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.prepare import Report, prepare_contents, queries, unprepared_contents
from temporal_pipeline.defs.contents.relevance.scoring import METHOD, NO_TEXT
from temporal_pipeline.entities import all_entities
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope


@dg.asset(
    group_name="contents",
    deps=["temporal_schema", "contents"],
    kinds={"postgres", "python"},
    owners=["team:data"],
    metadata=docs("relevance.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=METHOD,
    description=(
        "When each post was published and how relevant it is to its topic, written into the application's "
        "contents where the application has not said so itself. A post whose text or time cannot be read is "
        "marked with the reason, so that nothing is looked at twice."
    ),
)
@retried
def content_relevance(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    entities = scope.resolve(database)
    if scope.dry_run:

        def preview(connection: Connection) -> list[dict[str, object]]:
            names = _names(connection)
            return [
                {
                    "entity": _name(names, row.entity_id),
                    "contents": row.contents,
                    "without relevance": row.without_relevance,
                    "without publication time": row.without_publication_time,
                }
                for row in unprepared_contents(connection, entities, scope.since_instant)
            ]

        return dry_run_result(database, preview)
    report = prepare_contents(
        database,
        entities=entities,
        since=scope.since_instant,
        batch_size=scope.batch_size,
        max_wait=scope.max_wait,
        progress=told_in_lines(context.log.info),
    )
    with database.transaction(read_only=True) as connection:
        state = connection.execute(queries["content_state"]).one()
        columns = relation_metadata(connection, "contents", state.contents)
        names = _names(connection)
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": report.rows_written,
            "scored": report.scored,
            "scored_elsewhere": report.scored_elsewhere,
            "without_text": report.notes[NO_TEXT],
            "dates_found": report.dated,
            "left_for_the_next_run": report.left,
            "workers": report.workers,
            "chunks": report.chunks,
            "retries": report.retries,
            "longest_chunk_seconds": report.longest_chunk_seconds,
            "entities": _entity_table(report, names),
            "scores": _histogram(report),
            "reasons": markdown_table(
                [{"reason": note, "contents": n} for note, n in report.notes.most_common()],
                nothing="Every value could be found.",
            ),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(state.digest),
    )


def _names(connection: Connection) -> dict[uuid.UUID, str]:
    return {entity.id: str(entity) for entity in all_entities(connection)}


def _name(names: dict[uuid.UUID, str], owner: uuid.UUID | None) -> str:
    return "(no owner)" if owner is None else names.get(owner, "(gone)")


def _entity_table(report: Report, names: dict[uuid.UUID, str]) -> dg.MetadataValue:
    owners = sorted(report.owners.items(), key=lambda item: -item[1].contents)
    return markdown_table(
        [
            {
                "entity": _name(names, owner),
                "contents": tally.contents,
                "dates found": tally.dated,
                "scored": tally.scored,
                "mean score": f"{tally.relevance_sum / tally.scored:.2f}" if tally.scored else None,
            }
            for owner, tally in owners
        ],
        nothing="Nothing new: every content is prepared.",
    )


def _histogram(report: Report) -> dg.MetadataValue:
    most = max(report.tenths.values(), default=1)
    return markdown_table(
        [
            {
                "score": f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}",
                "contents": report.tenths[tenth],
                "": "█" * round(40 * report.tenths[tenth] / most),
            }
            for tenth in range(10)
        ]
        if report.tenths
        else [],
        nothing="No score was given.",
    )
