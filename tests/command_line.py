"""The command line as a person uses it: in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from temporal_pipeline.database import Database
from temporal_pipeline.settings import PROJECT_ROOT

NOT_INHERITED = ("DATABASE_URL", "DAGSTER_DATABASE_URL", "DAGSTER_HOME", "TEMPORAL_PIPELINE_HOME")


class CommandLine:
    """`temporal-pipeline` with an environment of its own; `home` is its TEMPORAL_PIPELINE_HOME."""

    def __init__(self, home: Path, **variables: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
        own = {"TEMPORAL_PIPELINE_HOME": str(home), "TEMPORAL_PIPELINE_BACKUPS": str(home / "backups")}
        self.variables = inherited | own | variables

    def command(self, *arguments: str | Path) -> list[str]:
        """What to execute for a verb with its arguments."""
        return [sys.executable, "-m", "temporal_pipeline.cli", *map(str, arguments)]

    def __call__(
        self, *arguments: str | Path, timeout: float = 300, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments),
            env=self.variables | variables,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str | Path, **variables: str) -> dict[str, Any]:
        """The one document that a verb prints with `--json`."""
        document: dict[str, Any] = json.loads(self(*arguments, "--json", **variables).stdout)
        return document


On = Callable[[Database], CommandLine]
