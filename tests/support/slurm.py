"""A Slurm of the tests' own: a controller and a node, which says that it has what a page asks for."""

import getpass
import os
import platform
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from support.programs import HANGS, wait_until
from support.servers import free_port

LACKING = "Slurm's own programs are not on this machine: apt-get install slurm-wlm"
SETTINGS = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=1000000
PartitionName=patient Nodes={host} Default=YES PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF
"""


# A Slurm that keeps no accounts says so whenever submitit asks it how far the jobs are.
NO_ACCOUNTS = re.compile(r"Slurm accounting storage is disabled\n|submitit WARNING .* sacct error .*\n")


class Slurm:
    """It is started, asked and stopped.

    Attributes:
        environment: what a program that is to find it is told.
        partition: where jobs give way to those of the partition `urgent`, and are begun again after them.
    """

    partition = "patient"

    def __init__(self, folder):
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._folder, self._processes = folder, []

    @property
    def controller(self):
        """The process that answers as long as there is a Slurm."""
        return self._processes[0]

    def start(self):
        """Start the controller and the node; return when jobs may come."""
        with (self._folder / "log").open("w") as log:
            for name in ("slurmctld", "slurmd"):
                environment = {**os.environ, **self.environment}
                process = subprocess.Popen([name, "-D"], env=environment, stdout=log, stderr=log)
                self._processes.append(process)
        wait_until(lambda: " idle " in self._call("sinfo", "--noheader").stdout, self.controller)

    def stop(self):
        """End it with all its jobs."""
        self.ask("scancel", f"--user={getpass.getuser()}")
        wait_until(self.has_ended, self.controller)
        for process in self._processes:
            process.kill()
            process.wait()

    def ask(self, *words):
        """Return what one of its commands prints."""
        done = self._call(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _call(self, *words):
        environment = {**os.environ, **self.environment}
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=HANGS)

    def states(self):
        """The states of all jobs, those that have ended among them, by their ids."""
        lines = self.ask("squeue", "--noheader", "--array", "--states=all", "--format=%A %T").splitlines()
        return dict(line.split() for line in lines)

    def has_ended(self):
        """Whether no job runs or waits."""
        return not self.ask("squeue", "--noheader")

    def preempt(self):
        """Take the whole node from those who have it, for a moment; let them begin again at once."""
        before = self.states()
        self.ask("sbatch", "--partition=urgent", "--exclusive", "--wait", "--output=/dev/null", "--wrap=true")
        for job, state in before.items():
            if state == "RUNNING":  # else Slurm lets it wait for two minutes
                self.ask("scontrol", "update", f"jobid={job}", "StartTime=now")


@contextmanager
def slurm_cluster(folder):
    """A Slurm that runs; the test is skipped where there is none to be run."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch")):
        pytest.skip(LACKING)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    told = {"host": platform.node().partition(".")[0], "user": getpass.getuser(), "folder": folder}
    settings = SETTINGS.format(ports=(free_port(), free_port()), **told)
    (folder / "slurm.conf").write_text(settings)
    slurm = Slurm(folder)
    slurm.start()
    try:
        yield slurm
    finally:
        slurm.stop()
