"""The bytes of a concept as the library keeps them, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import concept_bytes, concept_from_bytes
from perfusion_core.container import MAX_FILE_BYTES
from perfusion_core.errors import ConceptError
from perfusion_core.files import write_atomic
from perfusion_core.studio.library.entry import CONCEPT_FILE, THUMBNAIL_FILE
from perfusion_core.studio.library.thumbnails import card_bytes

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept


def filling(concept: Concept, thumbnail: Image.Image | None) -> Callable[[Path], None]:
    """What writes a concept and its card into a folder.

    Raises `ConceptError` at once when the concept cannot be kept.
    """
    content = stored_bytes(concept)
    card = card_bytes(thumbnail) if thumbnail is not None else None

    def fill(home: Path) -> None:
        if card is not None:
            write_atomic(home / THUMBNAIL_FILE, card, private=True)
        write_atomic(home / CONCEPT_FILE, content, private=True)  # last: from here on it is listed

    return fill


def stored_bytes(concept: Concept) -> bytes:
    """What is written for `concept`, known to be read back as the same concept.

    That is float32, or float16 where float32 would be larger than a concept file may be and float16 loses
    nothing (the concept came from such a file). Raises `ConceptError` when neither can be read back.
    """
    try:
        content = concept_bytes(concept)
        if len(content) > MAX_FILE_BYTES:
            content = concept_bytes(concept, "float16")
        same = concept_from_bytes(content).content_hash == concept.content_hash
    except ConceptError as error:
        raise ConceptError(f"<{concept.name}> cannot be kept: {error}") from error
    if not same or len(content) > MAX_FILE_BYTES:
        raise ConceptError(
            f"<{concept.name}> cannot be kept: its file would be larger than {MAX_FILE_BYTES // 2**20} MB, "
            "more than a concept file may have. Nothing was changed. Take a smaller version of it."
        )
    return content
