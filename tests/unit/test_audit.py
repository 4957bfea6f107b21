"""What `make check` makes of what pip-audit has found."""

from typing import Any

import pytest

from dev import audit

FINE: dict[str, Any] = {"name": "flask", "version": "3.1.2", "vulns": []}
UNKNOWN: dict[str, Any] = {"name": "vine", "skip_reason": "Dependency not found on PyPI"}
BAD: dict[str, Any] = {
    "name": "redis",
    "version": "4.5.1",
    "vulns": [
        {"id": "PYSEC-2023-45", "fix_versions": ["4.5.3", "4.5.4"], "aliases": ["CVE-2023-28858"]},
        {"id": "PYSEC-2023-46", "fix_versions": []},
    ],
}


def test_a_known_vulnerability_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named, with the versions that have it no more."""
    monkeypatch.setattr(audit, "report", lambda: [FINE, UNKNOWN, BAD])
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code == (
        "redis 4.5.1: PYSEC-2023-45, mended in 4.5.3, 4.5.4\n"
        "redis 4.5.1: PYSEC-2023-46, mended in no version\n"
        "2 known vulnerabilities in requirements-dev.txt"
    )


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ([FINE], ""),
        ([FINE, UNKNOWN], "could not be asked about 1 of 2 dependencies"),
        ([], "could not be asked about any dependencies"),
    ],
)
def test_what_could_not_be_asked_is_said(
    report: list[dict[str, Any]],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A network without PyPI's list lets the check pass, and never silently."""
    monkeypatch.setattr(audit, "report", lambda: report)
    audit.main()
    said = capsys.readouterr().out
    assert said.strip().endswith(says)
    assert bool(said) == bool(says)
