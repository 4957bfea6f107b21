"""Tests: what a module of the page does by itself, without a page."""

import json
import subprocess
from typing import Any

from dev.node import find_node
from tests.stack import ROOT

STATIC = ROOT / "webapp" / "static"
SCRIPT = """
import * as page from "{module}";
const given = JSON.parse(await new Response(process.stdin).text());
const run = async (given) => {{ {body} }};
const found = [];
for (const each of given) found.push(await run(each));
console.log(JSON.stringify(found));
"""


def in_node(module: str, body: str, given: list[Any]) -> list[Any]:
    """Have Node run *body* for each of *given*, with the *module* as ``page``; give what it returns."""
    script = SCRIPT.format(module=(STATIC / module).as_uri(), body=body)
    done = subprocess.run(
        [find_node(), "--input-type=module", "--eval", script],
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found
