"""Checking agents against their trained policies and their verifications."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pgpelib.utils.files import read_json
from posggym_es.agents.folders import policy_file_of
from posggym_es.config.result_names import CONFIG_FILE
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.report import MODEL_FILE
from posggym_es.evaluation.file_names import EXTRACTED_FOLDER, VERIFICATION_FILE
from posggym_es.evaluation.playing import CoPlayers
from posggym_es.evaluation.verification import play_verified_episode
from posggym_es.evaluation.verification_report import read_verification
from posggym_es.models.processors import ProcessorSpec
from posggym_es.registration.spec import SPEC_FILE, AgentSpec


def mistakes(folder: Path, episodes: int) -> Iterator[str]:
    """Derive an agent's policy file again, and replay verified episodes.

    Parameters
    ----------
    folder
        The agent's folder in the zoo. It and its co-players have to be registered in
        the imported posggym.
    episodes
        Number of episodes to replay, spread over the verification.

    Yields
    ------
    str
        A line for each thing that differs.
    """
    spec, file = AgentSpec.read(folder / SPEC_FILE), policy_file_of(folder)
    data = spec.policy_bytes(file)
    if _converted_again(folder) != data:
        yield f"{file}: not what the trained policy is converted to"
    verified = read_verification(folder / VERIFICATION_FILE)
    co_players = CoPlayers(**verified["company"])
    step = max(1, len(verified["seeds"]) // episodes)
    for number in range(0, len(verified["seeds"]), step)[:episodes]:
        seed, expected = verified["seeds"][number], verified["returns"][number]
        actual = play_verified_episode(spec, co_players, seed)
        if actual != expected:
            yield (
                f"{folder / VERIFICATION_FILE}: the episode with seed {seed} returned "
                f"{actual}, but {expected} when the agent was verified"
            )


def _converted_again(folder: Path) -> bytes:
    config = read_json(folder.parent / CONFIG_FILE)
    processor = config["register"].get("action_processor")
    with tempfile.TemporaryDirectory() as work:
        convert_folder(
            folder / EXTRACTED_FOLDER,
            Path(work),
            processor and ProcessorSpec.from_json(processor),
            env_modules=config["env_modules"],
        )
        return (Path(work) / MODEL_FILE).read_bytes()
