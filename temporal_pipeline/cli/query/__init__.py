"""`query`: what happened, what was known when, what changed, which queries earn their cost; a module each."""

import click

from temporal_pipeline.cli.query.compare import compare
from temporal_pipeline.cli.query.contents import contents
from temporal_pipeline.cli.query.effectiveness import effectiveness
from temporal_pipeline.cli.query.events import events
from temporal_pipeline.cli.query.queries import queries
from temporal_pipeline.cli.query.timeline import timeline


@click.group()
def query() -> None:
    """Ask the timeline of a topic or user. Only reads.

    ENTITY is an id, an exact name, or topic:NAME. Times are ISO 8601: a date is that whole UTC day, a time without
    a zone is UTC. --since and --until are about when things happened, --as-of about when they were recorded:
    nothing that was recorded later is shown.
    """


for verb in (timeline, compare, contents, events, effectiveness, queries):
    query.add_command(verb)
