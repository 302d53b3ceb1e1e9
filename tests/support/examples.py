"""How many examples a property test tries, and how long one may take."""

import os

from hypothesis import HealthCheck, Phase, settings

# How long an example takes says nothing about the product on a shared machine.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# For `make mutants`: what breaks is to be noticed, not explained.
settings.register_profile(
    "brief",
    settings.get_profile("shared"),
    max_examples=30,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
PROFILE = os.environ.get("PROPERTIES", "shared")
settings.load_profile(PROFILE)

PATIENT = settings(deadline=None)
"""A property test with this may be slow: only what it says may fail it."""
