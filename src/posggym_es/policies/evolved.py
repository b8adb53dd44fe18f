"""Saved policies of this trainer in the form that can be converted."""

from __future__ import annotations

from pgpelib.policies.networks import LSTM
from pgpelib.policies.policy import SavedPolicy
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.foreign import CATEGORICAL, ForeignPolicy
from posggym_es.policies.steps import NO_ACTIVATION, Dense, Normalization, Step


def convertible(policy: SavedPolicy) -> DeterministicPolicy | ForeignPolicy:
    """Return a saved policy as one that can be converted to POSGGym's format.

    Stochastic policies have the form of those of other libraries, whose outputs are the
    logits of a distribution, too.
    """
    if not policy.action.is_stochastic:
        return DeterministicPolicy.of(policy)
    last = len(policy.layers) - 1
    steps: list[Step] = [
        layer
        if isinstance(layer, LSTM)
        else Dense(*layer, NO_ACTIVATION if number == last else policy.activation)
        for number, layer in enumerate(policy.layers)
    ]
    normalization = None
    if policy.obs_mean is not None and policy.obs_stdev is not None:
        normalization = Normalization(policy.obs_mean, policy.obs_stdev)
    return ForeignPolicy(
        steps=steps,
        outputs_are=CATEGORICAL,
        env_name=policy.env_name,
        env_config=policy.env_config,
        normalization=normalization,
        obs_processor=ProcessorSpec(*policy.obs_processor),
        action_processor=ProcessorSpec(*policy.action_processor),
        metadata=policy.metadata,
    )
