"""Publishes and ends at once: ``python publish.py fetch`` one task, ``python publish.py table`` or ``rows`` a canvas."""

import sys

from celery import chord, group

from proj.tasks import add, fetch, mul, xsum


def rows():
    """(1 + 1) * 10, (2 + 2) * 10, (3 + 3) * 10."""
    return group((add.s(i, i) | mul.s(10)) for i in (1, 2, 3)).delay()


def table():
    """(1 + 1) * 10, (2 + 2) * 10, (3 + 3) * 10, and their sum."""
    return chord(((add.s(i, i) | mul.s(10)) for i in (1, 2, 3)), xsum.s()).delay()


if __name__ == "__main__":
    result = {"fetch": lambda: fetch.delay(7), "rows": rows, "table": table}[sys.argv[1]]()
    print(result.id)
