"""What steps have in common when nobody watches them: their turn, another try, how old their result may be."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg

from temporal_pipeline.transient import is_transient

P = ParamSpec("P")
T = TypeVar("T")

# The pool of all steps that write into the application's database.
WRITES = "writes"
# Runs beyond it wait in Dagster's queue instead of waiting for each other's advisory locks and giving up.
WRITERS_AT_ONCE = 1
# A restart of PostgreSQL takes seconds, a failover less than a minute.
RETRY_AFTER_SECONDS = (2, 10, 30)

# Crosshot crawls each topic every few hours, and the sensor waits for a whole interval at the most: a day without a
# run is unusual, two days say that crawler, sensor or database stand still.
FOLLOWS_CRAWLS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2), warn_window=timedelta(days=1))
# The schedule refreshes at 05:00 UTC; an hour is enough for the run before it and for itself.
DAILY = dg.FreshnessPolicy.cron(deadline_cron="0 6 * * *", lower_bound_delta=timedelta(days=1))


def max_runtime(limit: timedelta) -> dict[str, str]:
    """The tag of a job whose runs the daemon ends after `limit`."""
    return {"dagster/max_runtime": str(int(limit.total_seconds()))}


def retried(step: Callable[P, T]) -> Callable[P, T]:
    """Run a step again when the database failed it for a reason that passes; anything else fails it at once.

    Everything that a step does may be repeated. The last try raises the error itself, so that whoever looks at
    the run reads what happened.
    """

    @wraps(step)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return step(*args, **kwargs)
        except Exception as error:
            tries = dg.OpExecutionContext.get().retry_number if is_transient(error) else None
            if tries is None or tries >= len(RETRY_AFTER_SECONDS):
                raise
            raise dg.RetryRequested(
                max_retries=len(RETRY_AFTER_SECONDS), seconds_to_wait=RETRY_AFTER_SECONDS[tries]
            ) from error

    return attempt


def limit_writers(instance: dg.DagsterInstance) -> None:
    """Give the pool its limit, unless somebody has set one.

    The default limit of dagster.yaml is written down only when the first run of a pool is queued, too late for
    that run.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    if not any(pool.name == WRITES and not pool.from_default for pool in storage.get_pool_limits()):
        storage.set_concurrency_slots(WRITES, WRITERS_AT_ONCE)
