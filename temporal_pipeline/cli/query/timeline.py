"""`query timeline`: an entity period by period."""

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
    share,
    shortened,
)

SHOWN = ["content_count", "summary_short"]


@click.command()
@asking
@of_a_window
@click.option(
    "--superseded", "include_superseded", is_flag=True, help="Also periods that were analysed again."
)
@click.pass_obj
def timeline(output: Output, /, as_csv: bool, entity: str, fields: list[str] | None, **options: Any) -> None:
    """How a topic or user developed, period by period."""
    wanted = fields_for(output, as_csv, fields, SHOWN)
    ask(
        output,
        as_csv,
        lambda questions: questions.query_period_timeline(entity, fields=wanted, **options),
        lambda page: print_page(
            output,
            page,
            {
                "period": lambda item: str(item.period_number),
                "begins": lambda item: clock(item.period_start),
                "ends": lambda item: clock(item.period_end),
                "recorded": lambda item: clock(item.recorded_at),
                "posts": lambda item: figure(item.content_count),
                "covered": lambda item: share(item.coverage),
                "status": lambda item: item.status,
                "summary": lambda item: shortened(item.summary_short),
            },
        ),
    )
