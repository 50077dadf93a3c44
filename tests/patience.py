"""Hypothesis without a clock: how long an example takes says more about what else the machine does."""

from hypothesis import HealthCheck, settings

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
