"""Evaluating solutions on a Ray cluster; needs the package ray."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from typing import Any

import ray

from pgpelib.engines.evaluation import (
    MAX_REBUILDS,
    ChunkResult,
    TaskConfig,
    Work,
    Worker,
    worker_error,
)
from pgpelib.utils.threads import ONE_THREAD

logger = logging.getLogger(__name__)

# The worker of this process, by its config: Ray runs many tasks in one process, and
# creating environments takes time.
_workers: dict[str, Worker] = {}


@ray.remote(num_cpus=1, max_retries=MAX_REBUILDS)
def _run_chunk(config: TaskConfig, common: Work, first: int, count: int) -> Any:
    key = repr(config)
    if key not in _workers:
        _workers.clear()
        _workers[key] = Worker(config)
    return _workers[key].run(dataclasses.replace(common, first=first, count=count))


class RayEngine:
    """A Ray cluster: the one that RAY_ADDRESS names, or a new one on this machine.

    A new cluster listens on loopback and requires a token that only this process and
    its children have, if `stay_on_this_machine` was called before Ray was imported.

    Ray itself reruns chunks that were lost with a worker or a node.

    Parameters
    ----------
    config
        The environments and policies that workers create.
    num_workers
        Number of chunks that run at the same time; None for all cores of the cluster.
    timeout
        Seconds without a finished chunk after which the workers are considered hung.
    """

    def __init__(
        self, config: TaskConfig, num_workers: int | None, timeout: float
    ) -> None:
        self._timeout = timeout
        self._started = not ray.is_initialized()
        if self._started:
            address = os.environ.get("RAY_ADDRESS")
            ray.init(
                # Without an address, Ray would join any cluster running here.
                address=address or "local",
                num_cpus=None if address else num_workers,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                # Ray's workers load NumPy before this project's code.
                runtime_env={"env_vars": ONE_THREAD},
            )
        self._given_workers = num_workers
        self._config = ray.put(config)

    @property
    def num_workers(self) -> int:
        """The given number of workers, or the current number of the cluster's cores."""
        return self._given_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def run(
        self, chunks: list[Work], on_progress: Callable[[int], None] | None
    ) -> list[ChunkResult]:
        """Run all chunks, see `Engine.run`.

        Raises
        ------
        WorkerError
            If workers keep failing without finishing a chunk.
        """
        # Sent once rather than with every chunk.
        common = ray.put(chunks[0])
        results: dict[int, ChunkResult] = {}
        waiting = list(reversed(range(len(chunks))))
        pending: dict[Any, int] = {}
        failures = 0
        while len(results) < len(chunks):
            # Not all chunks at once, so that nodes that join later get work, too.
            while waiting and len(pending) < 2 * self.num_workers:
                number = waiting.pop()
                chunk = chunks[number]
                task = _run_chunk.remote(self._config, common, chunk.first, chunk.count)
                pending[task] = number
            done, _ = ray.wait(list(pending), num_returns=1, timeout=self._timeout)
            if not done:
                failures += 1
                reason = f"no worker finished a chunk in {self._timeout} s"
                if failures > MAX_REBUILDS:
                    raise worker_error(chunks, failures, reason)
                logger.warning("replacing the workers: %s", reason)
                for task in pending:
                    ray.cancel(task, force=True)
                waiting += pending.values()
                pending.clear()
            for task in done:
                number = pending.pop(task)
                try:
                    results[number] = ray.get(task)
                except (
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.NodeDiedError,
                ) as error:
                    failures += 1
                    if failures > MAX_REBUILDS:
                        raise worker_error(chunks, failures, str(error)) from error
                    logger.warning("running a chunk again: %s", error)
                    waiting.append(number)
                    continue
                failures = 0
                if on_progress is not None:
                    on_progress(chunks[number].count)
        return [results[number] for number in range(len(chunks))]

    def close(self) -> None:
        """Shut down Ray, if this engine started or joined the cluster."""
        if self._started and ray.is_initialized():
            ray.shutdown()
