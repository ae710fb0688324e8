"""Whoever does the work of joblib's backends: processes here, a dask cluster, ray."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress

from .errors import ConfigError

JOBS = 1_000  # more processes than that are a mistake


def processes(jobs: int) -> int:
    """How many runs at a time: as given, or with -1, -2, … as many as there are cores, or one less, … Raises ConfigError."""
    if type(jobs) is not int or jobs == 0 or abs(jobs) > JOBS:
        raise ConfigError(f"jobs = {jobs}: give from 1 to {JOBS} runs at a time")
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def known(backend: str) -> None:
    """Raises ConfigError for a backend that there is not, or that tells nothing before it has done everything."""
    import joblib

    try:
        if backend == "dask":
            import distributed  # noqa: F401
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        config = joblib.parallel_config(backend=backend)
        found = joblib.parallel.get_active_backend()[0]
        config.unregister()
        if backend != "sequential" and not found.supports_return_generator:
            raise ValueError("it gives no result before the last one is there")
    except ImportError as error:
        raise ConfigError(
            f"the backend {backend!r} needs a package that is not installed ({error}): pip install {backend}"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"joblib has no backend {backend!r} ({error}); choose loky, threading, sequential, dask or ray"
        ) from None


def workers(backend: str, jobs: int):
    """What holds the backend's workers, for `with`: for dask, the client there is, or one of the scheduler that
    DASK_SCHEDULER_ADDRESS names, or one of `jobs` processes here."""
    if backend != "dask":
        return nullcontext()
    from distributed import Client, default_client

    with suppress(ValueError):
        return nullcontext(default_client())
    where = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not where:
        return Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    try:
        return Client(where)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"DASK_SCHEDULER_ADDRESS={where}: no scheduler answers there ({error})"
        ) from None
