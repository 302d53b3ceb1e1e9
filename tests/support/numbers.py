"""Phone numbers for tests that exist for the parser and are owned by nobody.

North America keeps 555-0100 to 555-0199 of every area code for fiction. Area code 202 is left to the sandbox's forced
outcomes.
"""

from collections.abc import Iterator

import phonenumbers

DELIVERED = "+12025550100"


def crowd() -> Iterator[str]:
    """Give thousands of different fictional numbers in E.164, always in the same order."""
    for area in range(201, 990):
        if area == 202 or not phonenumbers.is_valid_number(phonenumbers.parse(f"+1{area}5550100")):
            continue
        for last in range(100):
            yield f"+1{area}55501{last:02d}"
