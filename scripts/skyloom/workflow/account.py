"""Whether Slurm is told who pays, asked before the first job is submitted."""

from snakemake.exceptions import WorkflowError


def check_account(workflow) -> None:
    """Fail with one sentence if jobs would go to Slurm on nobody's account.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        The workflow as it is about to start. Jobs that another executor runs need no account, nor do those of a user
        who gave ``--slurm-no-account``; the profiles name the one in ``SLURM_ACCOUNT``.
    """
    if workflow.executor_plugin.name != "slurm" or workflow.executor_settings.no_account:
        return
    if "slurm_account" not in (workflow.resource_settings.default_resources or {}):
        raise WorkflowError(
            "SLURM_ACCOUNT: the environment does not say which project pays for the jobs; type"
            " `export SLURM_ACCOUNT=<project>` first, or give --slurm-no-account where the cluster has no accounts."
        )
