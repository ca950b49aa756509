"""The audit of dependencies, against a service of this machine that knows a vulnerability, fails, or is away."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from temporal_pipeline.settings import PROJECT_ROOT

AUDIT = PROJECT_ROOT / ".ci" / "audit.py"
RUN = (
    "import runpy, sys; from pathlib import Path; audit = runpy.run_path(sys.argv[1]);"
    "sys.exit(audit['main']([sys.argv[2]], Path(sys.argv[3]), Path(sys.argv[4])))"
)
KNOWN = {
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-0001"],
    "summary": "It tells its secrets.",
    "published": "2099-01-01T00:00:00Z",
    "modified": "2099-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "sixpack"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
            "versions": ["1.0"],
        }
    ],
}


@contextmanager
def service(status: int = 200) -> Iterator[str]:
    """Answers as OSV does; it knows a vulnerability of sixpack 1.0."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = [KNOWN] if asked["package"]["name"] == "sixpack" and asked["version"] == "1.0" else []
            body = json.dumps({"vulns": known} if known else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def audit(folder: Path, url: str, pinned: str, accepted: str = "") -> "subprocess.CompletedProcess[str]":
    (folder / "requirements.lock").write_text(pinned)
    (folder / "accepted.toml").write_text(accepted)
    return subprocess.run(
        [
            *(sys.executable, "-c", RUN, AUDIT, f"--osv-url={url}"),
            *(folder / "requirements.lock", folder / "accepted.toml"),
        ],
        env=os.environ | {"XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_known_to_be_vulnerable_fails(tmp_path: Path) -> None:
    with service() as url:
        done = audit(tmp_path, url, "sixpack==1.0\nharmless==2.0 ; python_version >= '3'\n")
    assert done.returncode == 1, done.stderr
    assert "error: sixpack 1.0: PYSEC-2099-1, CVE-2099-0001, fixed in 1.1" in done.stderr
    assert "2 packages audited, 1 known vulnerabilities, 0 of them accepted" in done.stderr


def test_what_is_not_passes(tmp_path: Path) -> None:
    with service() as url:
        done = audit(tmp_path, url, "sixpack==1.1\n")
    assert (done.returncode, done.stderr) == (
        0,
        "1 packages audited, 0 known vulnerabilities, 0 of them accepted\n",
    )


@pytest.mark.parametrize("name", ["PYSEC-2099-1", "CVE-2099-0001"])
def test_what_is_accepted_with_a_reason_passes(tmp_path: Path, name: str) -> None:
    with service() as url:
        done = audit(tmp_path, url, "sixpack==1.0\n", f'{name} = "we never give it a secret"')
    assert done.returncode == 0, done.stderr
    assert "1 known vulnerabilities, 1 of them accepted" in done.stderr


def test_an_acceptance_needs_a_reason_and_an_object(tmp_path: Path) -> None:
    with service() as url:
        done = audit(tmp_path, url, "sixpack==1.0\n", 'PYSEC-2099-1 = " "\nPYSEC-2000-9 = "long gone"')
    assert done.returncode == 1
    assert "error: PYSEC-2099-1: accepted without a reason" in done.stderr
    assert "error: PYSEC-2000-9: accepted, but found in no package" in done.stderr


def test_without_the_service_it_says_that_nothing_was_audited(tmp_path: Path) -> None:
    done = audit(tmp_path, "http://127.0.0.1:1/v1/query", "sixpack==1.0\n")
    assert done.returncode == 0
    assert "NOT AUDITED" in done.stderr
    assert "0 known" not in done.stderr
    with service(status=503) as url:
        done = audit(tmp_path, url, "sixpack==1.0\n")
    assert done.returncode == 0
    assert "NOT AUDITED" in done.stderr


def test_it_is_part_of_make_check() -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    planned = subprocess.run(
        ["make", "--dry-run", "check"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert planned.stdout.rstrip().endswith("bin/python .ci/audit.py")
