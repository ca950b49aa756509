"""Are sudden events found in time? `python -m benchmarks.crises --export FILE --onsets FILE [--json]`.

Each topic with a known onset is lived through hour by hour, from its first crawl to a day after the onset, in a
database of its own: what the crawler wrote in the hour is replayed, then every stage runs as in the graph,
without Dagster's own cost per run. The floor beside it: the original's rule, a z-score over all hours so far.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.live import throwaway_database, throwaway_server
from temporal_pipeline.crosshot.lines import Line
from temporal_pipeline.crosshot.replay import create_legacy_tables, replay_lines
from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.prepare import prepare_contents
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.defs.snapshots.freezing import freeze_periods

HOUR = timedelta(hours=1)
AFTER_ONSET = timedelta(hours=24)
IN_TIME = timedelta(hours=6)
# A burst of posts is what is looked for; milestones and trends are no alarms.
FOUND = text("""
    SELECT first_detected_at, title, CAST(metadata->>'onset' AS timestamptz) AS onset
    FROM temporal_events WHERE event_type IN ('anomaly', 'controversy') ORDER BY first_detected_at, id
""")


@click.command()
@click.option("--export", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--onsets", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(export: Path, onsets: Path, as_json: bool) -> None:
    """Live through the crises of an export and tell when each was noticed."""
    known = {topic: parse(time) for topic, time in json.loads(onsets.read_text(encoding="utf-8")).items()}
    lines = lines_of(export, set(known))
    verdicts: dict[str, dict[str, Any]] = {"ours": {}, "z_score": {}}
    with throwaway_server() as server:
        for topic, onset in known.items():
            with throwaway_database(server) as database:
                for method, judged in live_through(database, lines[topic], onset).items():
                    verdicts[method][topic] = {"onset": onset.isoformat(), **judged}
    figures = {method: {**summary(found.values()), "crises": found} for method, found in verdicts.items()}
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def parse(time: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC."""
    parsed = datetime.fromisoformat(time)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def lines_of(export: Path, topics: set[str]) -> dict[str, list[tuple[datetime, dict[str, Any]]]]:
    """Per topic its records with the time at which the crawler had written each of them."""
    found: dict[str, list[tuple[datetime, dict[str, Any]]]] = defaultdict(list)
    task_times: dict[str, datetime] = {}
    opening: Any = gzip.open if export.suffix == ".gz" else open
    with opening(export, "rt", encoding="utf-8") as file:
        for raw in file:
            record = json.loads(raw)
            kind = record["kind"]
            topic = record["key"] if kind == "topic" else record.get("topic")
            if topic not in topics:
                continue
            if kind == "task":
                task_times[record["key"]] = parse(record.get("completed_at") or record["created_at"])
                time = task_times[record["key"]]
            elif kind == "content":
                time = max(
                    parse(record["crawled_at"]), task_times.get(record["task"], parse(record["crawled_at"]))
                )
            else:
                time = parse(record["created_at"])
            found[topic].append((time, record))
    missing = topics - found.keys()
    if missing:
        raise click.BadParameter(f"{export} has no topic {', '.join(sorted(missing))}", param_hint="--onsets")
    return found


def live_through(
    database: Database, lines: Sequence[tuple[datetime, dict[str, Any]]], onset: datetime
) -> dict[str, dict[str, Any]]:
    """Replay and update after each hour; when was what known?"""
    create_legacy_tables(database)
    upgrade(database)
    for number, batch in enumerate(hourly(lines, onset + AFTER_ONSET)):
        replay_lines(database, (Line(i, json.dumps(record).encode()) for i, record in enumerate(batch, 1)))
        run = f"hour {number}"
        prepare_contents(database, workers=1)
        perform_cut(database, run, workers=1)
        freeze_periods(database, run)
        report = detect_events(database, run)
        if report.failed:
            raise SystemExit(f"{run}: {report.failed}")
    with database.transaction(read_only=True) as connection:
        events = [(row.first_detected_at, row.title) for row in connection.execute(FOUND)]
    return {"ours": verdict(events, onset), "z_score": verdict(z_score(lines, onset + AFTER_ONSET), onset)}


def hourly(
    lines: Sequence[tuple[datetime, dict[str, Any]]], until: datetime
) -> Iterator[list[dict[str, Any]]]:
    """What the crawler wrote in each hour, in the order in which it did."""
    end = min(time for time, _ in lines).replace(minute=0, second=0, microsecond=0)
    left = list(lines)
    while end <= until:
        end += HOUR
        written = [record for time, record in left if time < end]
        left = [(time, record) for time, record in left if time >= end]
        yield written


def z_score(lines: Sequence[tuple[datetime, dict[str, Any]]], until: datetime) -> list[tuple[datetime, str]]:
    """Hours with more than two standard deviations over the mean of all hours up to and with them."""
    times = [parse(r["published_at"]) for _, r in lines if r["kind"] == "content" and r.get("published_at")]
    begin = min(times).replace(minute=0, second=0, microsecond=0)
    counts = np.zeros((until - begin) // HOUR)
    for time in times:
        if time < begin + len(counts) * HOUR:
            counts[(time - begin) // HOUR] += 1
    return [
        (begin + (i + 1) * HOUR, f"{counts[i]:.0f} posts")
        for i in range(1, len(counts))
        if (sd := counts[: i + 1].std(ddof=1)) > 0 and (counts[i] - counts[: i + 1].mean()) / sd > 2
    ]


def verdict(events: Sequence[tuple[datetime, str]], onset: datetime) -> dict[str, Any]:
    """Whether one of the events tells of the onset in time, and how many came before it."""
    after = [(time, title) for time, title in events if time >= onset]
    return {
        "found": bool(after) and after[0][0] <= onset + IN_TIME,
        "hours_to_detection": round((after[0][0] - onset) / HOUR, 2) if after else None,
        "false_before": sum(time < onset for time, _ in events),
        "title": after[0][1] if after else None,
        "false": [title for time, title in events if time < onset],
    }


def summary(verdicts: Collection[dict[str, Any]]) -> dict[str, int]:
    """Over all crises."""
    return {
        "onsets": len(verdicts),
        "found": sum(one["found"] for one in verdicts),
        "false_before": sum(one["false_before"] for one in verdicts),
    }


def show(figures: dict[str, Any]) -> None:
    """As a table, one row per crisis."""
    table = Table("crisis", "onset", "hours to detection", "false before", "z-score: hours", "false before")
    for topic, ours in figures["ours"]["crises"].items():
        floor = figures["z_score"]["crises"][topic]
        table.add_row(
            topic,
            ours["onset"][:16],
            *(str(ours[key]) for key in ("hours_to_detection", "false_before")),
            *(str(floor[key]) for key in ("hours_to_detection", "false_before")),
        )
    console = Console()
    console.print(table)
    for method in ("ours", "z_score"):
        one = figures[method]
        console.print(
            f"{method}: {one['found']} of {one['onsets']} found within 6 h, {one['false_before']} false alarms before"
        )


if __name__ == "__main__":
    main()
