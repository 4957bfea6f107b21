"""The locked dependencies, held against PyPI's list of known vulnerabilities: ``python -m dev.audit``.

Exits with 1 if there is any, and says which. Where that list cannot be had it says so in one line, and lets
pass: nobody is kept from working by a network that ends at a mirror.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from msgspec import DecodeError, json

LOCK: Final = Path(__file__).resolve().parent.parent / "requirements-dev.txt"
"""It has all that requirements.txt has."""
WAIT_S: Final = 15
AUDIT_S: Final = 300.0


def main() -> None:
    """Audit the lock, or exit with what was found."""
    dependencies = report()
    known = [line for each in dependencies for line in vulnerabilities(each)]
    if known:
        sys.exit("\n".join([*known, f"{len(known)} known vulnerabilities in {LOCK.name}"]))
    left_out = sum("skip_reason" in each for each in dependencies)
    if left_out or not dependencies:
        names = f"{left_out} of {len(dependencies)}" if dependencies else "any"
        print(f"PyPI's list of vulnerabilities could not be asked about {names} dependencies")


def report() -> list[dict[str, Any]]:
    """Give what pip-audit says of each dependency; nothing if it could not ask."""
    source = ["-r", str(LOCK), "--disable-pip", "--require-hashes", "-s", "pypi", "--timeout", str(WAIT_S)]
    command = [sys.executable, "-m", "pip_audit", *source, "-f", "json", "--progress-spinner", "off"]
    try:
        ran = subprocess.run(command, capture_output=True, check=False, timeout=AUDIT_S)
        found: list[dict[str, Any]] = json.decode(ran.stdout)["dependencies"]
    except (DecodeError, subprocess.TimeoutExpired):
        return []
    return found


def vulnerabilities(dependency: dict[str, Any]) -> list[str]:
    """Say each known vulnerability of a dependency in a line."""
    name = f"{dependency['name']} {dependency.get('version', '')}"
    return [
        f"{name}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}"
        for each in dependency.get("vulns", ())
    ]


if __name__ == "__main__":
    main()
