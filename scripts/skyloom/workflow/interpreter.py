"""Which Python the jobs of a rule run."""

import os
import sys
from pathlib import Path


def prefer_this_python() -> None:
    """Put the running interpreter's folder first on the path, so that `python` in a rule is the one of Snakemake.

    A conda environment that a job activates comes before it.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
