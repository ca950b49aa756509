"""`query compare`: what changed between two periods."""

from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query.asking import ask, asking, clock, figure, print_table, share, shortened

if TYPE_CHECKING:
    from temporal_pipeline.query import Comparison, PeriodItem

POSTS_SHOWN = 5
QUERIES_SHOWN = 3


@click.command()
@asking
@click.option("--a", metavar="PERIOD", help="Number or id; without it the period before the other one.")
@click.option("--b", metavar="PERIOD", help="Number or id; without it the latest period.")
@click.pass_obj
def compare(
    output: Output, /, as_csv: bool, entity: str, a: str | None, b: str | None, **options: Any
) -> None:
    """What changed from period A to period B: figures, posts, events, queries, terms."""
    ask(
        output,
        as_csv,
        lambda questions: questions.compare_periods(entity, a, b, **options),
        lambda answer: _print(output, answer),
    )


def _print(output: Output, answer: "Comparison") -> None:
    show = output.console.print
    show(f"{answer.entity.entity_type} {answer.entity.name}")
    for name, period in (("before", answer.before), ("after", answer.after)):
        show(f"{name:<10} {_period(period)}")
    if answer.metrics:
        print_table(
            output,
            [
                {
                    "metric": change.metric,
                    "before": figure(change.before),
                    "after": figure(change.after),
                    "change": figure(change.change),
                    "%": figure(change.change_pct),
                    "before/h": figure(change.before_per_hour),
                    "after/h": figure(change.after_per_hour),
                    "% of rate": figure(change.rate_change_pct),
                }
                for change in answer.metrics
            ],
        )
    counts = answer.counts
    show(f"posts      {counts.contents_came:,} came")
    if counts.contents_kept is not None:
        show(
            f"           {counts.contents_kept:,} kept, {counts.contents_reworded:,} of them with another text"
        )
    for post in answer.contents_came[:POSTS_SHOWN]:
        show(f"           {clock(post.happened_at)}  {shortened(post.text)}")
    for name, events in (("opened", answer.events_opened), ("resolved", answer.events_resolved)):
        for event in events:
            show(f"{name:<10} {event.severity}: {event.title}")
    for name, changes in (("better", answer.queries_better), ("worse", answer.queries_worse)):
        for query in changes[:QUERIES_SHOWN]:
            show(
                f"{name:<10} {query.query} ({query.platform}): score {query.score_before:.2f} → {query.score_after:.2f}"
            )
    for name, terms in (("rising", answer.terms_rising), ("falling", answer.terms_falling)):
        if terms:
            told = ", ".join(f"{term.term} ({term.posts_before} → {term.posts_after})" for term in terms)
            show(f"{name:<10} {told}")


def _period(period: "PeriodItem | None") -> str:
    if period is None:
        return "there is no earlier period"
    partial = ", partial" if period.partial else ""
    covered = f", {share(period.coverage)} covered" if period.coverage is not None else ""
    return (
        f"period {period.period_number}, {clock(period.period_start)} to {clock(period.period_end)} UTC, "
        f"{figure(period.content_count)} posts{covered}{partial}, {period.status}, recorded {clock(period.recorded_at)}"
    )
