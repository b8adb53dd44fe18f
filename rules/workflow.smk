"""The whole workflow, except its default target.

Data flows through the rule files in this order; each reads what the one before it wrote.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# A checkout has the project's packages beside its rules, installed or not. Where
# Snakemake fetches single files from a repository (`github(...)`), there is none, and
# the packages are those installed with Snakemake.
CHECKOUT = None
if isinstance(workflow.current_basedir, os.PathLike):
    CHECKOUT = Path(workflow.current_basedir).parent
    source = CHECKOUT / "src"
    sys.path.insert(0, str(source))
    # Snakemake's plugin has imported some of them, in another checkout those installed.
    for name in [
        name for name in sys.modules if (source / name.split(".")[0]).is_dir()
    ]:
        if source not in Path(sys.modules[name].__file__).parents:
            del sys.modules[name]

# Whether another workflow uses this one as a module.
AS_MODULE = CHECKOUT is None or Path(workflow.main_snakefile).absolute() not in (
    CHECKOUT / "Snakefile",
    CHECKOUT / "workflow/Snakefile",
)

from posggym_es.config.safe_config import read_safely

if not read_safely() and workflow.overwrite_configfiles:
    raise WorkflowError(
        "--configfile needs posggym-es installed beside Snakemake (make env): without "
        "it, Snakemake runs code in such files before the workflow can prevent that"
    )


configfile: "config/config.yaml"


report: "../workflow/report/workflow.rst"


include: "common.smk"
include: "common/inputs.smk"
include: "common/params.smk"
include: "common/resources.smk"
include: "common/targets.smk"
include: "preflight.smk"
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
include: "commands.smk"


# Folders of runs are parts of params, too, which Snakemake does not prefix.
if not rules.train.output.metrics.startswith(RUNS):
    raise WorkflowError(
        "prefix and replace_prefix of a module are not supported; run the workflow in "
        "another folder with --directory"
    )
