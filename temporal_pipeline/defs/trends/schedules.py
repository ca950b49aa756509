"""When trends are refreshed without anybody asking."""

import dagster as dg

refresh_trends_daily = dg.ScheduleDefinition(
    name="refresh_trends_daily",
    job_name="refresh",
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    # A schedule ticks only where a Dagster daemon runs, that is under `make ui` and in deployments; tests and
    # the command line run none.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Refreshes the trend view every day at 05:00 UTC, for periods that the application closed by itself. "
        "Evaluated only where a Dagster daemon runs."
    ),
)
