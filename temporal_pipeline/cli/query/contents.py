"""`query contents`: what was posted in some time."""

from typing import Any

import click

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query.asking import (
    ask,
    asking,
    clock,
    fields_for,
    figure,
    of_a_window,
    print_page,
    shortened,
)

SHOWN = ["author", "relevance", "found_by", "text"]


@click.command()
@asking
@of_a_window
@click.pass_obj
def contents(output: Output, /, as_csv: bool, entity: str, fields: list[str] | None, **options: Any) -> None:
    """What was posted in some time, with the texts that were frozen then."""
    wanted = fields_for(output, as_csv, fields, SHOWN)
    ask(
        output,
        as_csv,
        lambda questions: questions.query_contents_by_timerange(entity, fields=wanted, **options),
        lambda page: print_page(
            output,
            page,
            {
                "happened": lambda item: clock(item.happened_at),
                "recorded": lambda item: clock(item.recorded_at),
                "period": lambda item: str(item.period_number),
                "relevance": lambda item: figure(item.relevance),
                "author": lambda item: item.author or "",
                "found by": lambda item: shortened(item.found_by),
                "text": lambda item: shortened(item.text),
            },
        ),
    )
