"""Evaluating solutions on worker processes of this machine."""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

from pgpelib.engines.evaluation import (
    MAX_REBUILDS,
    ChunkResult,
    TaskConfig,
    Work,
    Worker,
    worker_error,
)
from pgpelib.utils.interrupts import blocked_for_children

logger = logging.getLogger(__name__)

_worker: Worker | None = None


def _start_worker(config: TaskConfig) -> None:
    global _worker
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Otherwise, a worker whose master was killed would wait for work forever.
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    _worker = Worker(config)


def _exit_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _run_in_worker(work: Work) -> ChunkResult:
    assert _worker is not None
    return _worker.run(work)


class LocalEngine:
    """A pool of worker processes on this machine.

    If a worker dies or hangs, the whole pool is replaced and the unfinished chunks are
    run again; this does not change results.

    Parameters
    ----------
    config
        The environments and policies that workers create.
    num_workers
        Number of worker processes.
    timeout
        Seconds without a finished chunk after which the workers are considered hung.
    """

    def __init__(self, config: TaskConfig, num_workers: int, timeout: float) -> None:
        self._config = config
        self.num_workers = num_workers
        self._timeout = timeout
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def run(
        self, chunks: list[Work], on_progress: Callable[[int], None] | None
    ) -> list[ChunkResult]:
        """Run all chunks, see `Engine.run`.

        Raises
        ------
        WorkerError
            If workers keep failing without finishing a chunk.
        """
        results: dict[int, ChunkResult] = {}
        rebuilds = 0
        while len(results) < len(chunks):
            before = len(results)
            try:
                self._run_missing(chunks, results, on_progress)
            except (concurrent.futures.BrokenExecutor, TimeoutError) as error:
                rebuilds = 0 if len(results) > before else rebuilds + 1
                reason = str(error) or type(error).__name__
                if rebuilds > MAX_REBUILDS:
                    raise worker_error(chunks, rebuilds, reason) from error
                logger.warning("replacing the workers: %s", reason)
                self._kill()
            except KeyboardInterrupt:
                # Nobody waits for their results.
                self._kill()
                raise
        return [results[number] for number in range(len(chunks))]

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _run_missing(
        self,
        chunks: list[Work],
        results: dict[int, ChunkResult],
        on_progress: Callable[[int], None] | None,
    ) -> None:
        if self._pool is None:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.num_workers,
                # Not fork, which PyTorch's and Sacred's threads do not survive.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._config,),
            )
        # The first one starts the workers.
        with blocked_for_children():
            pending = {
                self._pool.submit(_run_in_worker, chunk): number
                for number, chunk in enumerate(chunks)
                if number not in results
            }
        while pending:
            done, _ = concurrent.futures.wait(
                pending, self._timeout, concurrent.futures.FIRST_COMPLETED
            )
            if not done:
                raise TimeoutError(f"no worker finished a chunk in {self._timeout} s")
            for future in done:
                number = pending.pop(future)
                results[number] = future.result()
                if on_progress is not None:
                    on_progress(chunks[number].count)

    def _kill(self) -> None:
        if self._pool is None:
            return
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None
