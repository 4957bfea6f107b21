"""What axe-core finds wrong with a page for people who do not see it, or not as most do."""

from typing import Final

from playwright.sync_api import Page

from dev.node import CLIENTS, bring

WORST: Final = frozenset({"serious", "critical"})


def found_by_axe(page: Page) -> list[str]:
    """Name what is serious, with the elements; from DevTools, so that the page's policy has no say in it."""
    bring(CLIENTS)
    script = (CLIENTS / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(script)
    result = page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
    return [
        f"{violation['id']}: {node['html']}"
        for violation in result
        if violation["impact"] in WORST
        for node in violation["nodes"]
    ]
