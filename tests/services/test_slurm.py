"""The workflow on a real Slurm on loopback, with a job cancelled on its way: the catalog is that of a local run.

The cluster is started by tests/services/slurm/start.sh, which installs Debian packages; `make test-slurm` runs this.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from workflow.conftest import Project, environment, fresh

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("apt-get"), reason="needs root and Debian's apt-get"),
]

SLURM = Path(__file__).parent / "slurm"
TARGET = "results/tiny/catalog.csv"
# The cluster's GPUs are pretended, so the training is told that it may use the CPU.
ON_THE_CPU = "cases: {disk_winds: {models: {windnet: {device: cpu}}}}\n"
# The default waits 40 seconds before it asks Slurm, which is kind to a real one.
PROFILE = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")


@pytest.fixture(scope="module")
def account():
    started = subprocess.run([SLURM / "start.sh"], capture_output=True, text=True, timeout=900)
    try:
        assert started.returncode == 0, started.stderr
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([SLURM / "stop.sh"], check=True, timeout=300)


def running_training(project, head) -> str:
    """Wait until Slurm runs a training that has read its data, and return the job's number."""
    log = project.path / "logs/tiny/disk_winds/train_windnet_0.log"
    while head.poll() is None:
        if log.is_file() and "training samples" in log.read_text():
            return slurm("squeue", "--noheader", "--states=RUNNING", "--format=%i")[0]
        time.sleep(0.2)
    raise AssertionError("the workflow ended before a training ran")


def slurm(*command) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_a_run_on_slurm_with_a_cancelled_training_gives_the_catalog_of_a_local_run(account, tmp_path):
    config = tmp_path / "on_the_cpu.yaml"
    config.write_text(ON_THE_CPU)
    local, remote = fresh(tmp_path / "local"), fresh(tmp_path / "remote")
    local.snakemake(TARGET, "--cores", "2", configs=[config])

    output = tmp_path / "output.txt"
    command = Project.command(TARGET, *PROFILE, configs=[config])
    env = environment() | {"SLURM_ACCOUNT": account}
    with output.open("w") as stream:
        head = subprocess.Popen(command, cwd=remote.path, env=env, stdout=stream, stderr=subprocess.STDOUT)
    try:
        cancelled = running_training(remote, head)
        slurm("scancel", cancelled)
        head.wait(timeout=1200)
    finally:
        head.kill()
        head.wait()
    text = output.read_text()
    assert head.returncode == 0, text[-6000:]
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in text

    for name in ("csv", "ecsv", "vot", "fits", "reg", "moc.fits"):
        first, second = (project.path / f"results/tiny/catalog.{name}" for project in (local, remote))
        assert first.read_bytes() == second.read_bytes(), name

    jobs = [line.split("|") for line in slurm("sacct", "-XnP", "--format=JobID,State,Comment,AllocTRES,Account")]
    states = {number: state for number, state, *_ in jobs}
    assert states.pop(cancelled).startswith("CANCELLED")
    assert set(states.values()) == {"COMPLETED"}
    on_gpus = {comment.removeprefix("rule_").split("_wildcards")[0] for _, _, comment, got, _ in jobs if "gpu" in got}
    assert on_gpus == {"train"}
    assert {job[-1] for job in jobs} == {account}
    assert list((remote.path / "logs/slurm").glob("efficiency_report_*.csv"))

    assert remote.planned(TARGET, "--profile", "profiles/slurm", configs=[config]) == {}
