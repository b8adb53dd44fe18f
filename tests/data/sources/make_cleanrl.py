#!/usr/bin/env python
"""Make the small models that tests read, by CleanRL's own scripts.

Each was made by `make_cleanrl.py NAME cleanrl` with CleanRL 1.2.0, gym 0.23.1,
Gymnasium 0.29.1, torch 2.13.0, NumPy 1.26.4, and stable-baselines3 1.2.0 where the
script imports gym (ppo_lstm, sac_continuous_action, td3_continuous_action) or 2.9.2
where it does not. CleanRL 1.2.0 is for Python 3.10 and older, but runs with 3.11:
`pip install --no-deps --ignore-requires-python cleanrl==1.2.0`.

`ppo_lstm` is `ppo_atari_lstm.py` for vectors as observations (`ppo_lstm.diff`). What
each network gives for 1,000 observations of random play is in an `.npz` file.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import nn

# Files are small with layers of at most 16; the scripts have up to 256.
WIDEST = 16
OBSERVATIONS = 1000
OFF_POLICY = ("--learning-starts=500", "--buffer-size=2000", "--batch-size=32")

# What a script has defined when it is done.
Script = dict[str, Any]


class NarrowLinear(nn.Linear):
    """A layer of at most `WIDEST` inputs and outputs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(min(int(inputs), WIDEST), min(int(outputs), WIDEST))


def probabilities(script: Script, x: torch.Tensor) -> torch.Tensor:
    return each_probability(lambda a: script["agent"].get_action_and_value(x, a), x)


def recurrent_probabilities(script: Script, x: torch.Tensor) -> torch.Tensor:
    agent = script["agent"]
    zeros = torch.zeros(1, 1, agent.lstm.hidden_size)
    start = (zeros, zeros), torch.zeros(len(x))
    return each_probability(lambda a: agent.get_action_and_value(x, *start, a), x)


def each_probability(
    evaluate: Callable[[torch.Tensor], tuple], x: torch.Tensor
) -> torch.Tensor:
    actions = torch.tensor([[0.0], [1.0]]).expand(2, len(x))
    return torch.stack([evaluate(action)[1].exp() for action in actions], 1)


def gaussian(script: Script, x: torch.Tensor) -> torch.Tensor:
    mean, stdev, clip = statistics(script)
    x = ((x - mean) / stdev).clip(-clip, clip).float()
    means = script["agent"].actor_mean(x)
    return torch.cat([means, script["agent"].actor_logstd.exp().expand_as(means)], 1)


def statistics(script: Script) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what observations were normalised with."""
    env = script["envs"].envs[0]
    while not isinstance(env, gymnasium.wrappers.NormalizeObservation):
        env = env.env
    return env.obs_rms.mean, np.sqrt(env.obs_rms.var + env.epsilon), 10.0


class Recipe(NamedTuple):
    """How a model is made.

    Parameters
    ----------
    env_name, arguments
        The environment and other arguments of the script.
    saved
        The modules whose state dicts are saved, in a tuple if there are several.
    outputs
        Gives probabilities of actions, means and standard deviations, or actions.
    """

    env_name: str
    arguments: tuple[str, ...]
    saved: tuple[str, ...]
    outputs: Callable[[Script, torch.Tensor], torch.Tensor]


PPO = ("--learning-rate=0.005", "--total-timesteps=16384")
RECIPES = {
    "ppo": Recipe("CartPole-v1", PPO, ("agent",), probabilities),
    "ppo_lstm": Recipe("CartPole-v1", PPO, ("agent",), recurrent_probabilities),
    "ppo_continuous_action": Recipe("Pendulum-v1", PPO, ("agent",), gaussian),
    "dqn": Recipe(
        "CartPole-v1",
        ("--total-timesteps=5000", "--train-frequency=1", *OFF_POLICY),
        ("q_network",),
        lambda script, x: script["q_network"](x).argmax(1),
    ),
    "ddpg_continuous_action": Recipe(
        "Pendulum-v1",
        ("--total-timesteps=2000", *OFF_POLICY),
        ("actor", "qf1"),
        lambda script, x: script["actor"](x),
    ),
    "td3_continuous_action": Recipe(
        "Pendulum-v1",
        ("--total-timesteps=2000", *OFF_POLICY),
        ("actor", "qf1", "qf2"),
        lambda script, x: script["actor"](x),
    ),
    "sac_continuous_action": Recipe(
        "Pendulum-v1",
        ("--total-timesteps=2000", *OFF_POLICY),
        ("actor",),
        lambda script, x: script["actor"].get_action(x)[2],
    ),
}


def script_of(name: str, folder: Path) -> Path:
    """Return the script that trains a model."""
    package = Path(distribution("cleanrl").locate_file("cleanrl"))
    if name != "ppo_lstm":
        return package / f"{name}.py"
    script = folder / "ppo_lstm.py"
    script.write_bytes((package / "ppo_atari_lstm.py").read_bytes())
    change = Path(__file__).with_name("ppo_lstm.diff")
    subprocess.run(["patch", script, change], check=True)
    return script


def random_play(env_name: str) -> np.ndarray:
    env = gymnasium.make(env_name)
    env.action_space.seed(0)
    found = []
    while len(found) < OBSERVATIONS:
        observation, done = env.reset(seed=len(found))[0], False
        while not done:
            found.append(observation)
            observation, _, *ends, _ = env.step(env.action_space.sample())
            done = any(ends)
    return np.array(found[:OBSERVATIONS], np.float32)


def main(name: str, folder: Path) -> None:
    recipe = RECIPES[name]
    model = folder.absolute() / f"{name}.cleanrl_model"
    nn.Linear = NarrowLinear
    with tempfile.TemporaryDirectory() as place:
        script_path = script_of(name, Path(place))
        os.chdir(place)
        sys.argv[1:] = [f"--env-id={recipe.env_name}", *recipe.arguments]
        script = runpy.run_path(str(script_path), run_name="__main__")
        os.chdir(model.parent)
    states = tuple(script[part].state_dict() for part in recipe.saved)
    torch.save(states if len(states) > 1 else states[0], model)
    observations = random_play(recipe.env_name)
    with torch.no_grad():
        outputs = recipe.outputs(script, torch.tensor(observations)).numpy()
    np.savez_compressed(
        model.with_suffix(".npz"), observations=observations, outputs=outputs
    )
    if name == "ppo_continuous_action":
        mean, stdev, clip = statistics(script)
        said = {"obs_mean": mean.tolist(), "obs_stdev": stdev.tolist()}
        text = json.dumps({"env_name": recipe.env_name, **said, "obs_clip": clip})
        # JSON is YAML.
        model.with_suffix(".yaml").write_text(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
