"""What a document has its reader type: which lines, and on which machines."""

import re

import pytest

from tests.stack import ROOT
from tests.walkthrough import OUTSIDE, Block, blocks, section

ALL = ("10.0.0.10", "10.0.0.11")
TEXT = """# Guide

## Steps

```sh
# on each of the two
apt-get update
```

Talk.

```sh
# on 10.0.0.11, then on 10.0.0.10
cat << END
text
END
```

```sh
# from outside
curl http://10.0.0.10
```

### More

## Others

```sh
make run
```
"""


def test_each_block_says_where_its_lines_are_typed() -> None:
    """On all, on some in their order, or outside; what is under other headings is not theirs."""
    assert list(blocks(section(TEXT, "## Steps"), ALL)) == [
        Block(ALL, "apt-get update\n"),
        Block(("10.0.0.11", "10.0.0.10"), "cat << END\ntext\nEND\n", one_by_one=True),
        Block((OUTSIDE,), "curl http://10.0.0.10\n"),
    ]


@pytest.mark.parametrize("where", ["on 10.0.0.99", "on the edge"])
def test_a_block_for_no_machine_is_an_error(where: str) -> None:
    """A machine that is not there, or none."""
    with pytest.raises(ValueError, match="no machine"):
        list(blocks(f"```sh\n# {where}\nls\n```\n", ALL))


def test_every_block_of_the_guide_to_deploying_is_for_some_machine() -> None:
    """So that none of them is left out where they are typed (tests/e2e/test_deploy.py)."""
    guide = section(
        (ROOT / "docs" / "deploy.md").read_text(), "## Step by step: two web hosts, nginx, Sentinel, TLS"
    )
    machines = tuple(sorted({*re.findall(r"10\.0\.0\.\d+", guide)}))
    assert len(list(blocks(guide, machines))) == guide.count("```sh") == guide.count("```") / 2
