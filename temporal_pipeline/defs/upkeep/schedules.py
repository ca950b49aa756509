"""When upkeep is done without anybody asking."""

import dagster as dg

_NOT_DUE = {"config": {"is_due": False}}

maintain_weekly = dg.ScheduleDefinition(
    name="maintain_weekly",
    job_name="maintain",
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    run_config={"ops": {"archive_superseded_periods": _NOT_DUE, "prune_run_history": _NOT_DUE}},
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Every Sunday at 03:00 UTC: drafts older than a day, forgotten events, VACUUM of our tables. Evaluated "
        "only where a Dagster daemon runs."
    ),
)
maintain_monthly = dg.ScheduleDefinition(
    name="maintain_monthly",
    job_name="maintain",
    cron_schedule="0 4 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "On the first of every month at 04:00 UTC: what is done weekly, and periods superseded more than 90 days "
        "ago are archived, Dagster's runs and events older than that deleted. Evaluated only where a Dagster "
        "daemon runs."
    ),
)
