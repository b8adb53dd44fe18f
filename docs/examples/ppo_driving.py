"""PPO in self-play on Driving-v1: python ppo_driving.py [UPDATES] [GRID]."""

import sys

import numpy as np
import torch
from torch import distributions, nn

from posggym_compiled import make_vec

updates, grid = [*sys.argv[1:], *("150", "14x14RoundAbout")[len(sys.argv) - 1 :]]
num_envs, num_steps, epochs, minibatch = 128, 32, 4, 1024
gamma, gae_lambda, clip, entropy_weight = 0.99, 0.95, 0.2, 0.01
torch.manual_seed(0)
envs = make_vec("Driving-v1", num_envs, processed=True, grid=grid)
inputs, outputs = envs.observation_sizes["0"], envs.action_sizes["0"]
# The first output is the value, the others are the logits of the actions.
network = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1 + outputs))
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-5)


def rows(by_agent: dict[str, np.ndarray]) -> torch.Tensor:
    """Stack what the agents got: one policy plays them all."""
    return torch.tensor(np.concatenate(list(by_agent.values()))).float()


x = rows(envs.reset(seed=0)[0])
for update in range(1, int(updates) + 1):
    steps, gains, returns = [], [], []
    for _ in range(num_steps):
        out = network(x).detach()
        policy, value = distributions.Categorical(logits=out[:, 1:]), out[:, 0]
        action = policy.sample()
        joint = zip(envs.agents, action.numpy().reshape(-1, num_envs), strict=True)
        seen, rewards, terminations, truncations, infos = envs.step(dict(joint))
        reward, over = rows(rewards), rows(terminations)
        done = torch.tensor(infos["dones"]).repeat(len(envs.agents))
        if done.any():  # a time limit is no end: add what the agent expects after it
            rest = network(rows(infos["final_observation"])).detach()[:, 0]
            reward += gamma * rest * rows(truncations) * (1 - over)
            returns += rows(infos["final_info"]["episode"]["r"])[done].tolist()
        go_on = 1 - torch.maximum(over, done.float())
        steps.append((x, action, policy.log_prob(action), value, reward, go_on))
        x = rows(seen)
    gain, next_value = torch.zeros(len(x)), network(x).detach()[:, 0]
    for *_, value, reward, go_on in reversed(steps):  # generalized advantages
        gain = reward - value + gamma * go_on * (next_value + gae_lambda * gain)
        gains, next_value = [gain, *gains], value
    xs, actions, olds, values, _, _ = map(torch.cat, zip(*steps, strict=True))
    advantages = torch.cat(gains)
    for k in (torch.randperm(epochs * len(xs)) % len(xs)).split(minibatch):
        out, good = network(xs[k]), advantages[k] / advantages.std()
        policy = distributions.Categorical(logits=out[:, 1:])
        ratio = (policy.log_prob(actions[k]) - olds[k]).exp()
        surrogate = torch.minimum(ratio * good, ratio.clamp(1 - clip, 1 + clip) * good)
        error = (out[:, 0] - advantages[k] - values[k]).square()
        optimizer.zero_grad()
        (error - surrogate - entropy_weight * policy.entropy()).mean().backward()
        optimizer.step()
    print(f"update {update}: mean return {np.mean(returns):.3f}", flush=True)
