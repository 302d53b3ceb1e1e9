"""axe, which finds what people with disabilities stumble over. Knows how it is run. Must not know pages."""

from typing import Any

from playwright.sync_api import Page


def findings(page: Page, axe: str) -> list[Any]:
    """Run all of axe's rules, best practices too, and list what they find."""
    page.evaluate(axe)
    found: list[Any] = page.evaluate(
        "axe.run().then((result) => result.violations.map((one) => [one.id, one.nodes[0].html]))"
    )
    return found
