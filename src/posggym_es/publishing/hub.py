"""Publishing agents on Hugging Face's hub, with its official client."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pgpelib.utils.files import write_text
from posggym_es.evaluation.verified_agent import CARD_FILE, VerifiedAgent, copy_agent


def hub_setup(repo_id: str) -> str:
    """Return the lines of Python that register an agent from the hub."""
    return (
        "import huggingface_hub, posggym, posggym.agents, posggym_es\n\n"
        f'folder = huggingface_hub.snapshot_download("{repo_id}")\n'
        "posggym_es.register_agents(folder)"
    )


def stage_for_hub(folder: Path, repo_id: str, output: Path) -> list[str]:
    """Write the files of a repository on the hub: the agent, and a card.

    Parameters
    ----------
    folder
        The folder of an agent, `results/<experiment>/<agent>` or in the zoo.
    repo_id
        Name of the repository, `<user>/<name>`; the card's example loads it from there.
    output
        The folder to fill.

    Returns
    -------
    list of str
        Paths of the files in the repository, sorted.

    Raises
    ------
    ValueError
        If the folder is not that of a verified agent, or a file is damaged.
    """
    agent = VerifiedAgent.read(folder)
    copy_agent(folder, output)
    write_text(output / CARD_FILE, agent.card(hub_setup(repo_id)))
    files = (path for path in output.rglob("*") if path.is_file())
    return sorted(path.relative_to(output).as_posix() for path in files)


def push_to_hub(folder: Path, repo_id: str, private: bool = False) -> str:
    """Upload an agent, and create its repository if there is none.

    The client takes the token from `HF_TOKEN` or `hf auth login`, and the server from
    `HF_ENDPOINT` if it is another one. Files of the repository that have not changed
    are not uploaded again.

    Parameters
    ----------
    folder, repo_id
        See `stage_for_hub`.
    private
        Whether a new repository is private.

    Returns
    -------
    str
        The URL of the commit.

    Raises
    ------
    ValueError
        If the folder is not that of a verified agent, a file is damaged, or `repo_id`
        is not the name of a repository.
    RuntimeError
        If the client is not installed, or the server refuses.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise RuntimeError(
            "needs Hugging Face's client: pip install 'posggym-es[hub]'"
        ) from error
    api = HfApi(library_name="posggym-es")
    with tempfile.TemporaryDirectory() as staged:
        stage_for_hub(folder, repo_id, Path(staged))
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=staged,
                commit_message=f"Add {VerifiedAgent.read(folder).spec.id}",
            )
        except HfHubHTTPError as error:
            raise RuntimeError(f"{repo_id}: {error}") from error
    return str(commit.commit_url)
