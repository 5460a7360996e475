"""How Hypothesis works here: the same examples in every run, and no clock.

A run of the suite must not fail because the machine is slow, or because chance found today what it
did not find yesterday: then nobody could tell whether a change is to blame. So examples follow from
the test's own source, none has a deadline, and none is remembered from an earlier run. To look for
what nobody has found yet, run a file by hand with fresh examples:

    ./scripts/test --hypothesis-profile=search tests/rules
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]

settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW
)
settings.register_profile("search", deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile("suite")
