"""The complete workflow, except for its default target.

The rule files are included in the order of the data flow.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# In a checkout, the project's packages are next to the rules and need not be installed.
# If Snakemake fetches single files from a repository (`github(...)`), there is no
# checkout, and the packages must be installed with Snakemake.
CHECKOUT = None
if isinstance(workflow.current_basedir, os.PathLike):
    CHECKOUT = Path(workflow.current_basedir).parent
    source = CHECKOUT / "src"
    sys.path.insert(0, str(source))
    # The Snakemake plugin may have imported packages from a different installation.
    for name in [
        name for name in sys.modules if (source / name.split(".")[0]).is_dir()
    ]:
        if source not in Path(sys.modules[name].__file__).parents:
            del sys.modules[name]

# Before other imports, which it makes quicker.
import pgpelib.utils.quick_start

# Whether another workflow uses this one as a module.
AS_MODULE = CHECKOUT is None or Path(workflow.main_snakefile).absolute() not in (
    CHECKOUT / "Snakefile",
    CHECKOUT / "workflow/Snakefile",
)

from posggym_es.config.safe_config import read_safely

if not read_safely() and workflow.overwrite_configfiles:
    raise WorkflowError(
        "--configfile needs posggym-es to be installed with Snakemake (make env): "
        "otherwise Snakemake runs code in such files before the workflow can stop it"
    )


configfile: "config/config.yaml"


report: "../workflow/report/workflow.rst"


include: "common.smk"
include: "common/inputs.smk"
include: "common/params.smk"
include: "common/resources.smk"
include: "common/targets.smk"
include: "preflight.smk"
include: "partners.smk"
include: "starting_policy.smk"
include: "train.smk"
include: "extract.smk"
include: "convert.smk"
include: "stage.smk"
include: "registry.smk"
include: "verify.smk"
include: "film.smk"
include: "docs.smk"
include: "crossplay.smk"
include: "results.smk"
include: "repositories.smk"
include: "zoo.smk"
include: "commands.smk"


# Params also contain paths of runs, which Snakemake would not prefix.
if not rules.train.output.metrics.startswith(RUNS):
    raise WorkflowError(
        "prefix and replace_prefix of a module are not supported; run the workflow in "
        "another folder with --directory"
    )
