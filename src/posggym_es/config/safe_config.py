"""Config files are data: Snakemake reads them without rendering templates.

Snakemake hands config files and profiles to yte, which runs the Python code in them
where they say ``__use_yte__: true``, even in a dry run. Files of `--configfile` and
profiles are read before the Snakefile is, so a Snakefile alone cannot prevent that.
Snakemake imports its installed plugins before it reads any of these files:
`snakemake_logger_plugin_safe_config` is one, and calls `read_safely`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgpelib.foreign.config_text import (
    MAX_BYTES,
    ConfigTextError,
    parse_yaml,
    read_config_file,
)

_MARK = "_posggym_es_safe"


def read_safely() -> bool:
    """Make Snakemake read config files and profiles as plain data, in this process.

    Templates (`template_engine: yte` in a rule) are not concerned: a workflow's author
    writes them.

    Returns
    -------
    bool
        Whether Snakemake did so before.
    """
    import yte  # type: ignore[import-untyped]
    from snakemake.common import configfile

    if hasattr(yte.process_yaml, _MARK):
        return True
    render, load = yte.process_yaml, configfile._load_configfile

    # Snakemake calls it this way for all YAML that need not be a template.
    def process_yaml(
        file_or_str: Any, *args: Any, require_use_yte: bool = False, **kwargs: Any
    ) -> Any:
        if not require_use_yte:
            return render(file_or_str, *args, **kwargs)
        if isinstance(file_or_str, str):
            text, name = file_or_str, "config"
        else:
            text, name = file_or_str.read(MAX_BYTES + 1), file_or_str.name
        if len(text) > MAX_BYTES:
            raise ConfigTextError(f"{name}: larger than {MAX_BYTES // 1024} kB")
        return _without_template(parse_yaml(text, str(name)), str(name))

    def load_configfile(path_or_file: Any, *args: Any, **kwargs: Any) -> Any:
        from snakemake.exceptions import WorkflowError

        if not isinstance(path_or_file, str | Path):
            return load(path_or_file, *args, **kwargs)
        try:
            data = read_config_file(Path(path_or_file))
            return _without_template(data, str(path_or_file))
        except ConfigTextError as error:
            raise WorkflowError(str(error)) from error

    setattr(process_yaml, _MARK, True)
    yte.process_yaml = process_yaml
    configfile._load_configfile = load_configfile
    return False


def _without_template(data: dict[str, Any], name: str) -> dict[str, Any]:
    if "__use_yte__" in data:
        raise ConfigTextError(
            f"{name}: __use_yte__ is not allowed: templates run code, and config files "
            "are data; write the values instead"
        )
    return data
