"""A private Slurm on this machine: two virtual nodes on the loopback interface.

It leaves everything outside its folder alone, a system's own Slurm included: commands
and jobs find it by `SLURM_CONF`, it has its own munge socket and key, free ports, and
only processes that its daemons started are ever killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

import system_packages

NODES = ("es1", "es2")
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "scancel", "scontrol", "sinfo", "squeue")

_CONFIG = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
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
PlugStackConfig={folder}/plugstack.conf
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


# Slurm does not tell jobs where its configuration is, and Snakemake's plugin removes
# it from their environment: the commands themselves know it.
_COMMAND = """\
#!/bin/sh
export SLURM_CONF={folder}/slurm.conf
exec {program} "$@"
"""

# From <linux/prctl.h>: orphans below become children of the process that sets it.
_PR_SET_CHILD_SUBREAPER = 36


def why_not() -> str | None:
    """Return why Slurm cannot be used and how to install it; None if it can."""
    missing = system_packages.missing_programs([*DAEMONS, *CLIENTS])
    return system_packages.advice(missing, system_packages.SLURM) if missing else None


class SlurmCluster:
    """munged, slurmctld and a slurmd for each virtual node, in a temporary folder.

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
                cluster=f"estest{os.getpid()}",
                user=getpass.getuser(),
                host=socket.gethostname().split(".")[0],
                ctld_port=ports[0],
                folder=self.folder,
                nodes=nodes,
            )
        )
        (self.folder / "plugstack.conf").touch()
        (self.folder / "state").mkdir()
        self._write_commands(self.folder / "bin")
        # Of a job that runs the tests nothing may reach this cluster's jobs.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        self.environment = {
            **inherited,
            "PATH": f"{self.folder}/bin:{system_packages.SEARCH_PATH}",
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }

    def __enter__(self) -> SlurmCluster:
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
        """Kill a node and everything that runs on it, as in a power cut."""
        _kill_tree(self._processes.pop(name))
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
            _kill_tree(process)
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_commands(self, folder: Path) -> None:
        folder.mkdir()
        for name in CLIENTS:
            program = shutil.which(name, path=system_packages.SEARCH_PATH)
            command = folder / name
            command.write_text(_COMMAND.format(folder=self.folder, program=program))
            command.chmod(0o755)

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
                preexec_fn=_adopt_orphans,
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


def _adopt_orphans() -> None:
    """Adopt the descendants of a daemon; slurmd detaches the steps of jobs."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill_tree(daemon: subprocess.Popen) -> None:
    """Kill a daemon and everything below it."""
    root = psutil.Process(daemon.pid)
    # Stopped first, so that nothing is started between the look and the kill.
    root.suspend()
    while below := [p for p in root.children(recursive=True) if not _is_dead(p)]:
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    daemon.kill()
    daemon.wait()


def _is_dead(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True
