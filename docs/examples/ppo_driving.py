"""PPO in self-play on Driving-v1: python ppo_driving.py [UPDATES] [GRID]."""

import sys

import numpy as np
import torch
from torch import nn

from posggym_compiled import make_vec

updates = int(sys.argv[1]) if len(sys.argv) > 1 else 150
grid = sys.argv[2] if len(sys.argv) > 2 else "14x14RoundAbout"
num_envs, num_steps, epochs, minibatch, lr = 128, 32, 4, 1024, 1e-3
gamma, gae_lambda, clip, entropy_weight = 0.99, 0.95, 0.2, 0.01

torch.manual_seed(0)
envs = make_vec("Driving-v1", num_envs, processed=True, grid=grid)
inputs, outputs = envs.observation_sizes["0"], envs.action_sizes["0"]
actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, outputs))
critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1))
parameters = [*actor.parameters(), *critic.parameters()]
optimizer = torch.optim.Adam(parameters, lr=lr, eps=1e-5)


def rows(by_agent):  # one policy plays all agents, so their rows are stacked
    return torch.tensor(np.concatenate([by_agent[i] for i in envs.agents])).float()


obs, finished = rows(envs.reset(seed=0)[0]), []
for update in range(1, updates + 1):
    batch = []
    for _ in range(num_steps):
        with torch.no_grad():
            policy = torch.distributions.Categorical(logits=actor(obs))
            actions, value = policy.sample(), critic(obs)[:, 0]
        joint = actions.numpy().reshape(-1, num_envs)
        seen, rewards, terminated, truncated, infos = envs.step(dict(zip(envs.agents, joint)))
        reward, over = rows(rewards), rows(terminated)
        if infos["dones"].any():  # a time limit is no end: add what was still to come
            with torch.no_grad():
                last = critic(rows(infos["final_observation"]))[:, 0]
            reward += gamma * last * rows(truncated) * (1 - over)
            returns = infos["final_info"]["episode"]["r"]
            finished += [np.mean([returns[i][k] for i in envs.agents]) for k in np.flatnonzero(infos["dones"])]
        ends = torch.maximum(over, torch.tensor(infos["dones"]).repeat(len(envs.agents)).float())
        batch.append((obs, actions, policy.log_prob(actions), value, reward, ends))
        obs = rows(seen)
    with torch.no_grad():
        next_value, advantage, advantages = critic(obs)[:, 0], 0.0, []
    for _, _, _, value, reward, ends in reversed(batch):  # generalized advantages
        delta = reward + gamma * next_value * (1 - ends) - value
        advantage = delta + gamma * gae_lambda * (1 - ends) * advantage
        advantages.insert(0, advantage)
        next_value = value
    x, a, old, v, _, _ = (torch.cat(part) for part in zip(*batch))
    adv = torch.cat(advantages)
    for part in [p for _ in range(epochs) for p in torch.randperm(len(x)).split(minibatch)]:
        policy = torch.distributions.Categorical(logits=actor(x[part]))
        ratio = (policy.log_prob(a[part]) - old[part]).exp()
        good = (adv[part] - adv[part].mean()) / (adv[part].std() + 1e-8)
        gain = torch.minimum(ratio * good, ratio.clamp(1 - clip, 1 + clip) * good)
        error = (critic(x[part])[:, 0] - (adv + v)[part]).square().mean()
        loss = 0.5 * error - gain.mean() - entropy_weight * policy.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
    if update % 10 == 0:
        print(f"update {update}: mean return {np.mean(finished):.3f}", flush=True)
        finished = []
