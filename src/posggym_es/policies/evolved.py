"""Saved policies of this trainer in the form that can be converted, and back."""

from __future__ import annotations

from pgpelib.policies.networks import LSTM
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.foreign import CATEGORICAL, ForeignPolicy
from posggym_es.policies.steps import (
    NO_ACTIVATION,
    Dense,
    Normalization,
    Step,
    is_linear,
    outputs_of,
)


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


def trainable(policy: ConvertiblePolicy) -> SavedPolicy:
    """Return the saved policy that `convertible` has made this policy of.

    Raises
    ------
    ValueError
        If it was made of something that the trainer cannot train.
    """
    if isinstance(policy, SavedPolicy):
        return policy
    refusal = ValueError("a policy of another library, which the trainer cannot train")
    if not isinstance(policy, ForeignPolicy) or policy.outputs_are != CATEGORICAL:
        raise refusal
    seen, acted = policy.obs_processor, policy.action_processor
    *hidden, last = policy.steps
    # Policies without hidden layers have no use for an activation.
    activation, *others = {
        step.activation for step in hidden if isinstance(step, Dense)
    } or {"tanh"}
    mean, stdev, clip = policy.normalization or (None, None, None)
    fits = clip is None and not others and is_linear(last)
    if seen is None or acted is None or not fits:
        raise refusal
    return SavedPolicy(
        layers=[step if isinstance(step, LSTM) else step[:2] for step in policy.steps],
        activation=activation,
        obs_mean=mean,
        obs_stdev=stdev,
        action=ActionSpec("categorical", n=outputs_of(last)),
        env_name=policy.env_name,
        env_config=policy.env_config,
        obs_processor=(seen.name, seen.config),
        action_processor=(acted.name, acted.config),
        metadata=policy.metadata,
    )
