"""The config of a workflow: typed, checked and completed by its schema."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from posggym_es.config.experiments import ConfigError
from posggym_es.utils.schema_check import mistakes_in, read_as_yaml, with_defaults


def complete_config(
    config: Mapping[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a config with the types of its schema, and with its defaults.

    Parameters
    ----------
    config
        What the config files and the command line say, merged. It is not changed:
        another workflow, which uses this one as a module, may have it, too.
    given
        The part from the command line, see `schema_check.read_as_yaml`.
    schema
        JSON schema of the config.

    Raises
    ------
    ConfigError
        With a line for each mistake.
    """
    own = copy.deepcopy(dict(config))
    read_as_yaml(own, given, schema)
    mistakes = mistakes_in(own, schema)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return with_defaults(own, schema)
