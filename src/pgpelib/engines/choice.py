"""Creating the engine that a config names."""

from __future__ import annotations

import os

from pgpelib.engines.evaluation import Engine, TaskConfig
from pgpelib.engines.local import LocalEngine
from pgpelib.engines.ray_access import stay_on_this_machine
from pgpelib.engines.slurm import make_slurm_engine


def make_engine(
    name: str, config: TaskConfig, num_workers: int | None, timeout: float
) -> Engine:
    """Create an engine by its name in the config.

    Parameters
    ----------
    name
        "local", "ray" or "slurm".
    config
        The environments and policies that workers create.
    num_workers
        Number of workers ("slurm": per node); None for all cores.
    timeout
        Seconds without a result after which workers are considered hung.

    Raises
    ------
    ValueError
        If the name is unknown, Ray is not installed, or the Slurm engine cannot start.
    """
    if name == "local":
        cores = len(os.sched_getaffinity(0))
        return LocalEngine(config, num_workers or cores, timeout)
    if name == "ray":
        if "RAY_ADDRESS" not in os.environ:
            stay_on_this_machine()
        try:
            from pgpelib.engines.ray_cluster import RayEngine
        except ImportError as error:
            raise ValueError(f"engine: ray needs the ray package ({error})") from error
        return RayEngine(config, num_workers, timeout)
    if name == "slurm":
        return make_slurm_engine(config, num_workers, timeout)
    raise ValueError(f"engine: {name!r} is not one of local, ray, slurm")
