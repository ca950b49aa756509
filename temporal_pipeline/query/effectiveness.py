"""What crawl queries were worth, period by period."""

import uuid

from sqlalchemy import Connection

from temporal_pipeline.query.asking import Cursors, Question, number
from temporal_pipeline.query.models import Effectiveness, EffectivenessItem
from temporal_pipeline.query.pages import age_in_words, always_shown, chosen, page, to_choose_from
from temporal_pipeline.query.session import Situation, general_notices, queries

ALWAYS = always_shown(EffectivenessItem)
FIELDS = to_choose_from(EffectivenessItem)
DEFAULT_FIELDS = tuple(FIELDS)


def effectiveness(
    connection: Connection, there: Situation, asked: Question, cursor: str | None, text: str | None
) -> Effectiveness:
    """Queries of periods that overlap the window, newest period first, in each the best first.

    Raises Refusal for a cursor of another question.
    """
    cursors = Cursors(
        ("effectiveness", there.entity.entity_id, asked.since, asked.until, asked.as_of, text),
        (number, float, uuid.UUID),
    )
    after_number, after_rank, after_id = cursors.read(cursor) or (None, None, None)
    rows = connection.execute(
        queries["effectiveness"],
        there.key
        | asked.window
        | {
            "text": text,
            "after_number": after_number,
            "after_rank": after_rank,
            "after_id": after_id,
            "limit": asked.limit + 1,
        },
    ).all()
    return page(
        Effectiveness,
        "query_effectiveness",
        there,
        asked,
        rows=rows,
        make=lambda row: EffectivenessItem(
            **chosen(asked, ALWAYS, dict(row._mapping) | {"age": age_in_words(row.period_end, there.now)})
        ),
        place=lambda row: (row.period_number, row.rank, row.effectiveness_id),
        cursors=cursors,
        warnings=lambda items: general_notices(there, asked),
    )
