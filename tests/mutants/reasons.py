"""Why a mutant may survive: the change makes no difference, or none that anybody can see.

Must not excuse a missing test.
"""

from collections.abc import Mapping

from tests.mutants.found import Mutant

REASONS: Mapping[tuple[str, str], Mapping[str, str]] = {}
"""By module and function: what was changed, and why that is no other behaviour."""


def reason_of(mutant: Mutant) -> str:
    """Return why a mutant may survive; empty if nothing says so."""
    return REASONS.get((mutant.module, mutant.function), {}).get(mutant.change, "")
