"""Every test, the slow matrices included, on the embedded PostgreSQL and on a second, older one.

`python -m tests.acceptance [OPTION OF PYTEST …]`; what `make acceptance` runs.
"""

import os
import signal
import subprocess
import sys

from temporal_pipeline.embedded.binaries import major_version
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.servers import embedded_binaries, new_server, second_binaries


def main(options: list[str]) -> int:
    """The exit code: that of the first run of pytest that did not succeed."""
    # Ended by another program, it has to end its server as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    second = second_binaries()
    codes = [_run(major_version(embedded_binaries()), environment, options)]
    with new_server(second) as place:
        url = place.url("postgres")
        codes.append(_run(major_version(second), environment | {"DATABASE_URL": url}, options))
    return next((code for code in codes if code), 0)


def _run(major: int, environment: dict[str, str], options: list[str]) -> int:
    print(f"PostgreSQL {major}", flush=True)  # noqa: T201
    # Without an expression for -m, what `make test` leaves out is not left out.
    command = [sys.executable, "-m", "pytest", "-m", "", *options]
    return subprocess.run(command, cwd=PROJECT_ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as refused:
        print(f"error: {refused}", file=sys.stderr)  # noqa: T201
        sys.exit(refused.exit_code)
