"""How a migration is seen while it is under way."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from temporal_pipeline.cli.output import Output
from temporal_pipeline.defs.schema.listening import Executed, Listener


class StatementProgress(Listener):
    """On a terminal a bar that counts statements, elsewhere a line for each; and who is waited for.

    Both on stderr. To be used as a context manager around the migration.
    """

    def __init__(self, output: Output, total: int | None = None) -> None:
        super().__init__()
        self._console = output.progress
        self._total = total
        columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def says(self, line: str) -> None:
        """Something else happens, such as the backup."""
        self._bar.update(self._task, description=line)
        if not self._console.is_terminal:
            self._console.print(line)

    def starts(self, step: str) -> None:
        self._bar.update(self._task, description=step)

    def waits(self, step: str, reason: str) -> None:
        self._console.print(f"{step}: {reason}")

    def progresses(self, step: str, phase: str, share: float) -> None:
        self._bar.update(self._task, description=f"{step}: {phase} {share:.0%}")

    def executed(self, executed: Executed) -> None:
        super().executed(executed)
        done = len(self.statements)
        self._bar.update(self._task, completed=done)
        if not self._console.is_terminal:
            of_total = f"/{self._total}" if self._total else ""
            gave_way = f", gave way {executed.retries} times" if executed.retries else ""
            self._console.print(
                f"[{done}{of_total}] {executed.step}  {executed.seconds:.2f} s{gave_way}", markup=False
            )
