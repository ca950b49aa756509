"""Known vulnerabilities of what requirements.lock pins, by pip-audit: each one that is not accepted fails.

Without the service that knows them nothing is audited, which is said, and is no failure: a build without network
goes on. pip-audit alone would say "No known vulnerabilities found" of packages that it could not ask about.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER.parent / "requirements.lock"
ACCEPTED = FOLDER / "accepted_vulnerabilities.toml"
# For each package by itself; the service usually answers in a tenth of a second.
SECONDS = "10"


def main(options: Sequence[str], requirements: Path = REQUIREMENTS, accepted_file: Path = ACCEPTED) -> int:
    """The exit code: 1 for a vulnerability that is not accepted, or an acceptance without object or reason.

    `options` are further ones of pip-audit.
    """
    accepted = tomllib.loads(accepted_file.read_text(encoding="utf-8"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--vulnerability-service=osv", f"--timeout={SECONDS}"),
            *("--requirement", requirements, "--no-deps", "--disable-pip", "--progress-spinner=off"),
            *("--format=json", "--desc=off", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        _say(f"warning: NOT AUDITED, dependencies may have known vulnerabilities: {reason}")
        return 0
    return _judge(packages, accepted)


def _judge(packages: list[dict[str, Any]], accepted: dict[str, str]) -> int:
    found = [(package, one) for package in packages for one in package.get("vulns", [])]
    names = [{one["id"], *one["aliases"]} for _, one in found]
    failures = [
        f"{package['name']} {package['version']}: {', '.join([one['id'], *one['aliases']])}, "
        f"fixed in {', '.join(one['fix_versions']) or 'no version'}"
        for (package, one), known_as in zip(found, names, strict=True)
        if not known_as & accepted.keys()
    ]
    failures += [
        f"{name}: accepted without a reason" for name, reason in accepted.items() if not reason.strip()
    ]
    failures += [
        f"{name}: accepted, but found in no package" for name in accepted.keys() - set().union(*names)
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        _say(f"warning: NOT AUDITED: {', '.join(skipped)}")
    for failure in failures:
        _say(f"error: {failure}")
    if failures:
        _say(f"remedy: `make lock` takes newer versions; what cannot hurt here goes into .ci/{ACCEPTED.name}")
    audited = len(packages) - len(skipped)
    accepted_count = len(found) - sum(not known_as & accepted.keys() for known_as in names)
    _say(f"{audited} packages audited, {len(found)} known vulnerabilities, {accepted_count} of them accepted")
    return 1 if failures else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
