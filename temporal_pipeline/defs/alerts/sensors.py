"""The sensor that tells people."""

from collections.abc import Sequence
from functools import partial

import dagster as dg
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from temporal_pipeline.alerts import Alert, channels_of, deliver, record
from temporal_pipeline.alerts.delivery import utc_now
from temporal_pipeline.database import Database
from temporal_pipeline.defs.alerts.event_log import alerts_since
from temporal_pipeline.defs.crosshot.sensors import NOT_AT_HEAD
from temporal_pipeline.defs.schema.upgrade import is_at_head
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

# Dagster ends an evaluation after a minute; the last attempt may take ten seconds more.
DELIVERY_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells people: failed runs, failed blocking checks and assets that are not fresh go into the outbox, where "
        "events are already, and from there to the webhooks of TEMPORAL_PIPELINE_ALERT_WEBHOOKS, each once. Starts "
        "no run."
    ),
)
def alerts(context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]) -> dg.SensorResult:
    # The cursor moves on only with what is in the outbox: after a failure all of it is looked at again.
    cursor = context.cursor
    try:
        with database.transaction(read_only=True) as connection:
            if not is_at_head(connection):
                return dg.SensorResult(skip_reason=NOT_AT_HEAD, cursor=cursor)
        found, reached = alerts_since(context.instance, cursor, utc_now())
        recorded = database.write(partial(_record, found=found)) if found else 0
        cursor = reached
        channels = channels_of(Settings().alert_webhooks)
        attempts = deliver(database, channels, seconds=DELIVERY_SECONDS)
    except PipelineError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=cursor)
    except OperationalError as error:
        return dg.SensorResult(skip_reason=f"the database gave up: {error.orig}", cursor=cursor)
    told = [f"{recorded} recorded", *map(str, attempts)]
    if not channels:
        told.append("no channel: TEMPORAL_PIPELINE_ALERT_WEBHOOKS is not set")
    return dg.SensorResult(skip_reason="; ".join(told), cursor=cursor)


def _record(connection: Connection, found: Sequence[Alert]) -> int:
    return sum(record(connection, alert) for alert in found)
