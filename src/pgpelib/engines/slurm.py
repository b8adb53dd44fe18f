"""Evaluating solutions on all nodes of a Slurm allocation."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pgpelib.engines.evaluation import ChunkResult, TaskConfig, Work
from pgpelib.engines.local import LocalEngine
from pgpelib.engines.ray_access import require_own_token

if TYPE_CHECKING:
    from pgpelib.engines.ray_cluster import RayEngine

logger = logging.getLogger(__name__)

# Seconds to wait for the nodes of an allocation: starting Python from a network file
# system on many nodes at once is slow.
START_TIMEOUT = 180.0


def allocated_nodes() -> int:
    """Return the number of nodes in this process's Slurm allocation, 1 outside of one.

    This queries Slurm instead of reading environment variables, because Snakemake's
    executor removes most of Slurm's variables from the environment of jobs.

    Raises
    ------
    ValueError
        If `squeue` fails.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return 1
    command = ["squeue", "--noheader", f"--job={job}", "--format=%D"]
    try:
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        )
        return int(answer.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise ValueError(
            f"engine: slurm: cannot get the nodes of job {job} from squeue ({error})"
        ) from error


def make_slurm_engine(
    config: TaskConfig, num_workers: int | None, timeout: float
) -> LocalEngine | SlurmEngine:
    """Create an engine for all nodes of the Slurm allocation.

    Outside of an allocation, or in one with a single node, this is a `LocalEngine`,
    which gives the same results.

    Parameters
    ----------
    config
        The environments and policies that workers create.
    num_workers
        Number of workers per node; None for all cores of this node.
    timeout
        Seconds without a result after which workers are considered hung.

    Raises
    ------
    ValueError
        If Ray is not installed, or its cluster cannot be started.
    """
    workers = num_workers or len(os.sched_getaffinity(0))
    nodes = allocated_nodes()
    if nodes < 2:
        logger.info("engine slurm: one node; using %d local workers", workers)
        return LocalEngine(config, workers, timeout)
    return SlurmEngine(config, nodes, workers, timeout)


class SlurmEngine:
    """A private Ray cluster on the nodes of a Slurm allocation.

    Ray's head runs on the node of this process, which must be the allocation's first
    (where batch scripts run); `srun` starts Ray on the others. Joining or using the
    cluster requires its token, which only this process and its children have.

    Parameters
    ----------
    config
        The environments and policies that workers create.
    nodes
        Number of nodes in the allocation.
    workers_per_node
        Number of workers per node.
    timeout
        Seconds without a result after which workers are considered hung.

    Raises
    ------
    ValueError
        If Ray is not installed, or its cluster cannot be started.
    """

    def __init__(
        self, config: TaskConfig, nodes: int, workers_per_node: int, timeout: float
    ) -> None:
        require_own_token()
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                f"engine: slurm needs the ray package on several nodes ({error})"
            ) from error
        address = f"{ray.util.get_node_ip_address()}:{_free_port()}"
        self._engine: RayEngine | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        # Not the training log, where shutting down the cluster would look like errors.
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        port = address.rpartition(":")[2]
        try:
            self._start([], "--head", f"--port={port}", workers=workers_per_node)
            self._engine = self._connect(
                address, config, nodes, workers_per_node, timeout
            )
            others = nodes - 1
            srun = [
                "srun",
                f"--nodes={others}",
                f"--ntasks={others}",
                "--ntasks-per-node=1",
                f"--cpus-per-task={workers_per_node}",
                "--cpu-bind=none",
                # All nodes except the first.
                "--relative=1",
                # Share resources with the job step that this process may be part of.
                "--overlap",
                # Losing one node does not stop the others.
                "--kill-on-bad-exit=0",
                "--no-kill",
            ]
            self._start(
                srun,
                f"--address={address}",
                workers=workers_per_node,
            )
            self._wait_for_nodes(nodes)
        except BaseException:
            self.close()
            raise

    def _start(self, launcher: list[str], *arguments: str, workers: int) -> None:
        ray_command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        options = ["--disable-usage-stats", f"--num-cpus={workers}"]
        if "--head" in arguments:
            options.append("--include-dashboard=false")
        self._processes.append(
            subprocess.Popen(
                [*launcher, *ray_command, *arguments, *options],
                stdin=subprocess.DEVNULL,
                stdout=self._messages,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )

    def _connect(
        self,
        address: str,
        config: TaskConfig,
        nodes: int,
        workers_per_node: int,
        timeout: float,
    ) -> RayEngine:
        from pgpelib.engines.ray_cluster import RayEngine

        os.environ["RAY_ADDRESS"] = address
        _wait_for_port(address, self._processes[0])
        try:
            return RayEngine(config, nodes * workers_per_node, timeout)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"engine: slurm: Ray did not start ({error})") from error

    def _wait_for_nodes(self, nodes: int) -> None:
        import ray

        deadline = time.monotonic() + START_TIMEOUT
        while True:
            alive = sum(node["Alive"] for node in ray.nodes())
            if alive >= nodes:
                logger.info("engine slurm: Ray on %d nodes", alive)
                return
            if time.monotonic() > deadline or self._processes[1].poll() is not None:
                # Nodes that join later still get work.
                self._messages.seek(0)
                logger.warning(
                    "engine slurm: only %d of %d nodes joined; continuing with them\n"
                    "%s",
                    alive,
                    nodes,
                    self._messages.read().decode(errors="replace")[-2000:],
                )
                return
            time.sleep(0.2)

    @property
    def num_workers(self) -> int:
        """Number of workers on all nodes together."""
        assert self._engine is not None
        return self._engine.num_workers

    def run(
        self, chunks: list[Work], on_progress: Callable[[int], None] | None
    ) -> list[ChunkResult]:
        """Run all chunks, see `RayEngine.run`."""
        assert self._engine is not None
        return self._engine.run(chunks, on_progress)

    def close(self) -> None:
        """Stop the cluster on all nodes."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        os.environ.pop("RAY_ADDRESS", None)
        # The other nodes first; srun and `ray start --block` pass the signal on.
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()
        self._messages.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ValueError(
                    f"engine: slurm: Ray did not start at {address} ({error})"
                ) from error
            time.sleep(0.1)
