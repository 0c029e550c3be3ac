"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Machines are noisy: no example is judged by its time. The long form draws ten times as many.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("soak" if os.environ.get("QUARTERDECK_SOAK") else "quick")
