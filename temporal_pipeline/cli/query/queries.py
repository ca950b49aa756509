"""`query queries`: which of an entity's crawl queries earn their cost."""

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity, find_entities

if TYPE_CHECKING:
    from temporal_pipeline.defs.effectiveness.ranking import RankedQuery

# A cell of the bar is five hundredths of a score.
BAR_CELLS = 20
STEPS = "▁▂▃▄▅▆▇█"
SHOWN = 20
LEAST_WIDTH = 180


@click.command()
@click.argument("entity", required=False)
@click.option("--entity", "named", metavar="ENTITY", help="The same as the argument.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=SHOWN,
    show_default=True,
    help="How many queries the table shows; --json and --csv have all.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@click.pass_obj
def queries(output: Output, /, entity: str | None, named: str | None, limit: int, as_csv: bool) -> None:
    """Show a topic's or user's crawl queries, the one to run next first: keep, widen, drop or explore, and why.

    The score is the share of relevant posts among the new ones of the last weeks, cautious where little is
    known; its bar spans the 90 % interval. The course shows the scores of the last periods.
    """
    from temporal_pipeline.defs.effectiveness.ranking import ranked_queries  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415

    name = entity or named
    if name is None or (entity and named):
        raise click.UsageError("name one ENTITY: an id, an exact name, or topic:NAME")
    if as_csv and output.as_json:
        raise click.UsageError("--json and --csv exclude each other")
    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            found = next(iter(find_entities(connection, [name]) or ()))
            ranked = ranked_queries(connection, (found.type, found.id))
    finally:
        database.dispose()
    if as_csv:
        _print_csv(ranked)
        return
    if not output.as_json:
        _print(output, found, ranked, limit)
    output.succeed({"entity": _described(found), "queries": [_data(query) for query in ranked]})


def _print_csv(ranked: "list[RankedQuery]") -> None:
    import pandas as pd  # noqa: PLC0415 - takes long, and only this needs it

    rows = [_data(query) for query in ranked]
    for row in rows:
        del row["course"]
        row["lower"], row["upper"] = row.pop("interval")
    click.echo(pd.DataFrame(rows).to_csv(index=False), nl=False)


def _print(output: Output, entity: Entity, ranked: "list[RankedQuery]", limit: int) -> None:
    if not ranked:
        output.console.print(f"{entity} has no measured query yet; `temporal-pipeline update` measures them")
        return
    mean = ranked[0].judgement.standing.mean
    output.console.print(f"{entity}: {len(ranked)} queries, usual share of relevant posts {mean:.2f}\n")
    # In less, a reason takes more lines than a screen has; a narrower terminal breaks the lines itself.
    width = max(output.console.width, LEAST_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold", width=width)
    for column, justify in (
        ("query", "left"),
        ("runs", "right"),
        ("found", "right"),
        ("new relevant", "right"),
        ("score", "right"),
        ("0" + " " * (BAR_CELLS - 2) + "1", "left"),
        ("course", "left"),
        ("verdict", "left"),
        ("why", "left"),
    ):
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column != "why")  # type: ignore[arg-type]
    for query in ranked[:limit]:
        life, standing = query.judgement.account.life, query.judgement.standing
        table.add_row(
            f"{query.query} ({query.platform})",
            f"{life.runs:,}",
            f"{life.found:,.0f}",
            f"{life.relevant:,}",
            f"{standing.score:.2f}",
            bar(standing.score, standing.lower, standing.upper),
            course([score for _, score in query.course]),
            query.judgement.advice.verdict,
            query.why,
        )
    output.console.print(table)
    if len(ranked) > limit:
        output.console.print(f"… and {len(ranked) - limit} more; --json lists all")


def bar(score: float, lower: float, upper: float) -> str:
    """An interval within 0 to 1 as a line of 20 characters, with the score marked."""
    first, mark, last = (min(int(value * BAR_CELLS), BAR_CELLS - 1) for value in (lower, score, upper))
    cells = ["━" if first <= cell <= last else "·" for cell in range(BAR_CELLS)]
    cells[mark] = "●"
    return "".join(cells)


def course(scores: list[float]) -> str:
    """Scores as a row of columns, the oldest first; all scales are 0 to 1."""
    return "".join(STEPS[min(int(score * len(STEPS)), len(STEPS) - 1)] for score in scores)


def _described(entity: Entity) -> dict[str, str]:
    return {"type": entity.type, "id": str(entity.id), "name": entity.name}


def _data(query: "RankedQuery") -> dict[str, Any]:
    judgement = query.judgement
    account, standing = judgement.account, judgement.standing
    life = account.life
    return {
        "query": query.query,
        "platform": query.platform,
        "normal_form": query.normal_form,
        "periods": account.periods,
        "runs": life.runs,
        "empty_runs": life.empty_runs,
        "failed_runs": life.failed_runs,
        "seconds": life.seconds,
        "found": life.found,
        "new": life.contents,
        "new_scored": life.scored,
        "new_relevant": life.relevant,
        "new_high_value": life.high_value,
        "unique": life.unique,
        "recent_relevant": account.evidence.relevant,
        "recent_scored": account.evidence.scored,
        "score": standing.score,
        "interval": [standing.lower, standing.upper],
        "rank_key": standing.rank_key,
        "entity_mean": standing.mean,
        "prior_strength": judgement.surroundings.strength,
        "verdict": judgement.advice.verdict,
        "why": query.why,
        "looks_like": query.looks_like,
        "course": [{"period_end": end, "score": score} for end, score in query.course],
    }
