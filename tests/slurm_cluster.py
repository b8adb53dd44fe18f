"""A Slurm of its own on this machine: two virtual nodes on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

import debian

NODES = ("es1", "es2")
# Where Slurm looks when nothing tells it: jobs do not inherit SLURM_CONF.
DEFAULT_CONFIG = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

_CONFIG = """\
ClusterName=estest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=0
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=20
MailProg=/bin/true
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def install() -> str | None:
    """Install Slurm where that is possible; return why it cannot be used, or None."""
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    if DEFAULT_CONFIG.exists():
        return f"this machine has a Slurm already ({DEFAULT_CONFIG})"
    if not _missing():
        return None
    reason = debian.install(["slurmctld", "slurmd", "slurm-client", "munge"])
    if reason is not None:
        return f"{', '.join(_missing())} not found, and {reason}"
    missing = _missing()
    return f"{', '.join(missing)} cannot be installed" if missing else None


def _missing() -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class SlurmCluster:
    """munged, slurmctld and a slurmd for each virtual node, in a folder of their own.

    Parameters
    ----------
    cores_per_node
        CPUs that each node offers.
    """

    def __init__(self, cores_per_node: int = 1) -> None:
        # Sockets need a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm."))
        self.folder.chmod(0o755)
        self._processes: dict[str, subprocess.Popen] = {}
        ports = _free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 "
            f"Port={port} CPUs={cores_per_node} RealMemory=16000 State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        (self.folder / "slurm.conf").write_text(
            _CONFIG.format(
                host=socket.gethostname().split(".")[0],
                ctld_port=ports[0],
                folder=self.folder,
                nodes=nodes,
            )
        )
        (self.folder / "state").mkdir()
        self.environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }

    def __enter__(self) -> SlurmCluster:
        DEFAULT_CONFIG.unlink(missing_ok=True)
        DEFAULT_CONFIG.parent.mkdir(exist_ok=True)
        DEFAULT_CONFIG.symlink_to(self.folder / "slurm.conf")
        try:
            self._start_munge()
            self._start("slurmctld", "-D")
            for name in NODES:
                self.start_node(name)
            self.wait_until_idle()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        (self.folder / f"spool-{name}").mkdir(exist_ok=True)
        self._start("slurmd", "-D", "-N", name, label=name)

    def wait_until_idle(self) -> None:
        """Wait until all nodes are back and free.

        Nodes that are down return on their own when their daemon has registered.
        """
        self._wait_for(self._all_idle, "nodes that are idle")

    def stop_node(self, name: str) -> None:
        """Take a node away at once, with all that runs on it, as a power cut does."""
        daemon = self._processes.pop(name)
        jobs = self.run("squeue", "--noheader", f"--nodelist={name}", "--format=%i")
        for pid in [
            daemon.pid,
            *_descendants(daemon.pid),
            *_processes_of(jobs.split()),
        ]:
            _kill(pid)
        daemon.wait()
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=test")

    def run(self, *command: str) -> str:
        """Run a Slurm command and return what it prints."""
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return (state, comment) of each job in the queue by id."""
        lines = self.run("squeue", "--noheader", "--format=%i|%T|%k").splitlines()
        rows = [line.split("|", 2) for line in lines]
        return {job: (state, comment) for job, state, comment in rows}

    def close(self) -> None:
        """Stop everything and remove the folder."""
        for process in reversed(self._processes.values()):
            for pid in [process.pid, *_descendants(process.pid)]:
                _kill(pid)
            process.wait()
        self._processes.clear()
        DEFAULT_CONFIG.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._start(
            "munged",
            "--foreground",
            f"--socket={self.folder}/munge.socket",
            f"--key-file={key}",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
            "--num-threads=2",
            "--force",
        )
        self._wait_for((self.folder / "munge.socket").exists, "munge's socket")

    def _start(self, program: str, *arguments: str, label: str | None = None) -> None:
        with (self.folder / f"{label or program}.out").open("w") as output:
            self._processes[label or program] = subprocess.Popen(
                [program, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _all_idle(self) -> bool:
        result = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return result.stdout.split() == ["idle"] * len(NODES)

    def _wait_for(self, condition, what: str, seconds: float = 600) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"{path.name}: {path.read_text()[-1500:]}"
                    for path in sorted(self.folder.glob("*.[lo][ou][gt]"))
                )
                raise RuntimeError(f"Slurm: waited in vain for {what}\n{logs}")
            time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _descendants(pid: int) -> list[int]:
    """Return the processes below one: slurmd starts its steps in their own sessions."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _processes_of(jobs: list[str]) -> list[int]:
    """Return the processes of jobs, and of the daemons that look after them."""
    pids = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            own = process.environ().get("SLURM_JOB_ID") in jobs
            keeper = any(f"slurmstepd: [{job}." in command for job in jobs)
            if (own or keeper) and process.pid != os.getpid():
                pids.append(process.pid)
    return pids


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
