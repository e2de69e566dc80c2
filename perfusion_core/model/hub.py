"""Models on the Hugging Face hub: from its cache first, over the network only where the hub responds."""

from __future__ import annotations

import threading
from pathlib import Path

from perfusion_core.errors import BaseModelError, first_line
from perfusion_core.model.listing import hub_cache_folder

# A hub that does not answer within this time is too slow to download a model from.
PATIENCE = 4.0  # seconds


def hub_answers(patience: float = PATIENCE) -> bool:
    """Whether the hub answers within `patience` seconds; False where HF_HUB_OFFLINE is set.

    The hub's own client retries for the better part of a minute before it gives up. The request runs in its
    own thread, since resolving a host name has no time limit.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=patience)
        except Exception:  # offline, an unknown host, a proxy's refusal: each means no
            return
        answered.set()

    asking = threading.Thread(target=ask, name="perfusion-hub", daemon=True)
    asking.start()
    asking.join(patience)
    return answered.is_set()


def require_hub(reference: str) -> None:
    """Raises BaseModelError, saying what to do, where the hub does not answer."""
    if not hub_answers():
        raise _not_here(reference, "the Hugging Face hub does not answer from here")


def hub_index(reference: str) -> Path:
    """The model_index.json of a pipeline, from the cache, else fetched. Raises BaseModelError."""
    from huggingface_hub import hf_hub_download

    def index(cached: bool) -> Path:
        return Path(
            hf_hub_download(
                reference, "model_index.json", cache_dir=hub_cache_folder(), local_files_only=cached
            )
        )

    try:
        return index(cached=True)
    except (OSError, ValueError):
        require_hub(reference)
    try:
        return index(cached=False)
    except Exception as error:  # unknown, gated or interrupted: the same advice applies
        raise _not_here(reference, first_line(error)) from error


def _not_here(reference: str, reason: str) -> BaseModelError:
    return BaseModelError(
        f"{reference} is not on this machine and could not be fetched ({reason}). Connect to the internet, "
        "or put the model's diffusers folder or .safetensors file here and give its path."
    )
