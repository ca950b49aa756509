"""Dagster's job `update` in this process: what each step wrote, which checks did not hold, what failed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dagster as dg

from temporal_pipeline import problems
from temporal_pipeline.abandoned_runs import end_abandoned_runs, process_tags
from temporal_pipeline.dagster_home import dagster_instance, environment
from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from temporal_pipeline.defs.schema.upgrade import is_at_head
from temporal_pipeline.errors import PipelineError

JOB = "update"


@dataclass(frozen=True)
class Step:
    """An asset of a run: its metadata as plain values, or why it failed; neither: it was not reached."""

    asset: str
    metadata: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def reason(self) -> str:
        """Why it failed, in one line: database errors carry the statement and its values in the lines after it."""
        return (str(self.error).splitlines() or [type(self.error).__name__])[0]


@dataclass(frozen=True)
class Claim:
    """A check of a run: `offenders` is Markdown."""

    name: str
    asset: str
    holds: bool
    is_error: bool
    blocking: bool
    offenders: str


@dataclass
class Outcome:
    """What a run of the job came to."""

    run_id: str
    steps: list[Step] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    # Entities that could not be processed in this run: (stage, entity, reason).
    entities_failed: list[tuple[str, str, str]] = field(default_factory=list)
    succeeded: bool = True

    @property
    def error(self) -> PipelineError | None:
        """What a person should hear of the run if not all is well; partial success is an error."""
        failed = [step for step in self.steps if step.error is not None]
        broken = [claim.name for claim in self.claims if not claim.holds and claim.is_error]
        reasons = [f"{step.asset} failed: {step.reason}" for step in failed]
        if broken:
            reasons.append(f"does not hold: {', '.join(broken)}")
        if self.entities_failed:
            reasons.append(f"entities that failed: {len(self.entities_failed)}")
        if not reasons and not self.succeeded:
            reasons.append("Dagster could not run the job")
        if not reasons:
            return None
        known = next((step.error for step in failed if isinstance(step.error, PipelineError)), None)
        return PipelineError(
            f"run {self.run_id[:8]}: {'; '.join(reasons)}",
            hint=known.hint
            if known
            else "the rest is done; look at the run in `make ui`, then run this again",
            exit_code=known.exit_code if known else 1,
        )


def run_update(
    database: Database, scope: dict[str, Any], *, backup: bool = True, verbose: bool = False
) -> Outcome:
    """Run the job in this process, its events stored where the webserver finds them.

    `scope`: the configuration of the run, see temporal_pipeline.scope; `backup`: whether the database is backed
    up where there is anything to migrate. With `dry_run` the same steps run in
    read-only transactions, without checks (nothing was done that could be checked) and without a trace.
    Raises PipelineError when Dagster's tables cannot be had, KeyboardInterrupt when the run was interrupted;
    what fails in a step is in the outcome.
    """
    with _instance(database, ephemeral=scope.get("dry_run", False)) as instance:
        end_abandoned_runs(instance)
        errors: dict[str, Exception] = {}

        @dg.failure_hook
        def remember(context: dg.HookContext) -> None:
            if isinstance(context.op_exception, Exception):
                errors[context.op.name] = context.op_exception

        job = _job(with_checks=instance.is_persistent)
        result = job.with_hooks({remember}).execute_in_process(
            run_config={
                "resources": {"scope": {"config": scope}},
                "ops": {"temporal_schema": {"config": {"backup": backup}}},
                "loggers": {"console": {"config": {"log_level": "INFO" if verbose else "CRITICAL"}}},
            },
            instance=instance,
            raise_on_error=False,
            tags=process_tags(),
        )
    if any(_says_interrupted(event) for event in result.all_events):
        raise KeyboardInterrupt
    metadata = {
        event.asset_key.to_user_string(): {
            key: value.value for key, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    steps = [Step(name, metadata.get(name), errors.get(name)) for name in _assets(job)]
    claims = [_claim(job, evaluation) for evaluation in result.get_asset_check_evaluations()]
    return Outcome(result.run_id, steps, claims, _entities_failed(database, result.run_id), result.success)


@contextmanager
def _instance(database: Database, *, ephemeral: bool) -> Iterator[dg.DagsterInstance]:
    if ephemeral:
        os.environ.update(environment(database, None))
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
    else:
        with dagster_instance(database) as instance:
            yield instance


@cache
def _job(*, with_checks: bool) -> dg.JobDefinition:
    """The job of the project; without checks, one of the same assets alone. Loading it takes a second."""
    loaded = definitions()
    if not with_checks:
        selection = dg.AssetSelection.all().without_checks()
        loaded = dg.Definitions(
            assets=loaded.assets,
            resources=loaded.resources,
            executor=loaded.executor,
            jobs=[dg.define_asset_job(JOB, selection=selection)],
        )
    return loaded.resolve_job_def(JOB)


def _says_interrupted(event: dg.DagsterEvent) -> bool:
    """Dagster takes the interrupt for itself, to write down the end of the run, and does not pass it on."""
    if event.event_type != dg.DagsterEventType.PIPELINE_FAILURE:
        return False
    reason = event.job_failure_data.failure_reason
    return reason is not None and reason.name == "UNEXPECTED_TERMINATION"


def _assets(job: dg.JobDefinition) -> list[str]:
    """The assets that the job makes, each after those that it depends on."""
    graph = job.asset_layer.asset_graph
    made = job.asset_layer.selected_asset_keys
    return [key.to_user_string() for key in graph.toposorted_asset_keys if key in made]


def _claim(job: dg.JobDefinition, evaluation: dg.AssetCheckEvaluation) -> Claim:
    offenders = evaluation.metadata.get("first_offenders")
    return Claim(
        name=evaluation.check_name,
        asset=evaluation.asset_key.to_user_string(),
        holds=evaluation.passed,
        is_error=evaluation.severity == dg.AssetCheckSeverity.ERROR,
        blocking=job.asset_layer.asset_graph.get(evaluation.asset_check_key).blocking,
        offenders=str(offenders.value) if offenders is not None else "",
    )


def _entities_failed(database: Database, run_id: str) -> list[tuple[str, str, str]]:
    with database.transaction(read_only=True) as connection:
        if not is_at_head(connection):
            return []
        rows: Sequence[Any] = problems.of_stage(connection)
    return [(row.stage, f"{row.entity_type} {row.name}", row.reason) for row in rows if row.run_id == run_id]
