"""`query effectiveness`: what crawl queries were worth, period by period."""

from typing import Any

import click

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query.asking import ask, asking, clock, fields_for, figure, of_a_window, print_page

SHOWN = ["effectiveness_score", "total_found", "relevant_count"]


@click.command()
@asking
@of_a_window
@click.option("--text", help="Words of the query.")
@click.pass_obj
def effectiveness(
    output: Output, /, *, as_csv: bool, entity: str, fields: list[str] | None, **options: Any
) -> None:
    """What crawl queries were worth period by period; `query queries` tells what to do with them now."""
    wanted = fields_for(output, as_csv, fields, SHOWN)
    ask(
        output,
        as_csv,
        lambda questions: questions.query_effectiveness(entity, fields=wanted, **options),
        lambda page: print_page(
            output,
            page,
            {
                "period": lambda item: str(item.period_number),
                "from": lambda item: clock(item.period_start),
                "to": lambda item: clock(item.period_end),
                "recorded": lambda item: clock(item.recorded_at),
                "found": lambda item: figure(item.total_found),
                "relevant": lambda item: figure(item.relevant_count),
                "score": lambda item: figure(item.effectiveness_score),
                "query": lambda item: f"{item.query} ({item.platform})",
            },
        ),
    )
