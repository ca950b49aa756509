"""`query events`: what happened, or is still going on."""

from typing import Any

import click

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query.asking import ask, asking, clock, fields_for, figure, of_a_window, print_page

SHOWN = ["evidence_count"]


@click.command()
@asking
@of_a_window
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option("--text", help="Words of the title or description.")
@click.option("--event-type", help="Such as anomaly, trend_shift, milestone, risk.")
@click.option("--severity", type=click.Choice(["info", "warning", "critical"]))
@click.pass_obj
def events(
    output: Output,
    /,
    *,
    as_csv: bool,
    entity: str,
    fields: list[str] | None,
    only_open: bool,
    text: str | None,
    event_type: str | None,
    severity: str | None,
    **options: Any,
) -> None:
    """What happened in some time, or is still going on."""
    wanted = fields_for(output, as_csv, fields, SHOWN)
    filters: dict[str, Any] = {"text": text, "event_type": event_type, "severity": severity}
    if only_open and any(filters.values()):
        raise click.UsageError("--open goes without --text, --event-type and --severity")
    ask(
        output,
        as_csv,
        lambda questions: (
            questions.get_unresolved_events(entity, fields=wanted, **options)
            if only_open
            else questions.search_events(entity, fields=wanted, **filters, **options)
        ),
        lambda page: print_page(
            output,
            page,
            {
                "detected": lambda item: clock(item.first_detected_at),
                "resolved": lambda item: clock(item.resolved_at),
                "recorded": lambda item: clock(item.recorded_at),
                "period": lambda item: str(item.period_number),
                "severity": lambda item: item.severity,
                "state": lambda item: item.state,
                "posts": lambda item: figure(item.evidence_count),
                "event": lambda item: item.title,
            },
        ),
    )
