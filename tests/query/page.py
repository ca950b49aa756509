"""docs/query.md is executed: what stands below its code is what the code prints.

`python -m tests.query.page` plays the demo and writes the page anew.
"""

import contextlib
import io
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query import query
from temporal_pipeline.embedded import attach
from temporal_pipeline.settings import PROJECT_ROOT
from temporal_pipeline.urls import normalise_url
from tests.query.demo import Demo, played_demo

PAGE = PROJECT_ROOT / "docs" / "query.md"
CELL = re.compile(r"```(python|console)\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def executed(page: str, demo: Demo) -> str:
    """The page with what its cells print on the played demo; one cell finds the names of those before it."""
    names: dict[str, Any] = {}

    def run(cell: "re.Match[str]") -> str:
        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"DATABASE_URL": demo.database.url}),
            contextlib.redirect_stdout(printed),
        ):
            if cell[1] == "python":
                exec(cell[2], names)
            else:
                _, _, *arguments = shlex.split(cell[2].removeprefix("$ "))
                query(arguments, obj=Output(), standalone_mode=False)
        shown = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
        return f"```{cell[1]}\n{cell[2]}```\n\n```text\n{shown}\n```"

    try:
        return CELL.sub(run, page)
    finally:
        if "timeline" in names:
            names["timeline"].close()


def main() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        url = os.environ.get("DATABASE_URL")
        if url is None:
            attachment = stack.enter_context(attach(PROJECT_ROOT / ".temporal_pipeline" / "tests"))
            url = attachment.url("postgres")
        demo = stack.enter_context(played_demo(normalise_url(url), Path(home)))
        PAGE.write_text(executed(PAGE.read_text(encoding="utf-8"), demo), encoding="utf-8")


if __name__ == "__main__":
    main()
