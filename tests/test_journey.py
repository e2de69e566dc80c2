"""The whole journey on the bundled model: photos, a concept, its front, an image and its repeat.

What was measured for <biscuit> (poodle, 7 biases, 3 prompts, 2 seeds), on an unfinished base and on the first
one in assets/pocket: rank correlation along the slider 1.00 and 0.81 for the prompt, -0.05 and 0.43 for the
likeness of the whole picture, 0.81 and -0.52 for that of the subject alone. For <mug> (beer-mug, 8 prompts, 1
seed, the second base) it was the other way round: 1.00 for both likenesses, -0.62 for the prompt. No concept
yet moved both scores steadily; for this one the likeness is written down as expected to fail until that is
mended. The other bars were set on the first of the two bases and held on the second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.model.listing import pocket_folder

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "assets" / "examples" / "poodle"

pytestmark = pytest.mark.skipif(
    not (pocket_folder() / "model_index.json").is_file(), reason="the pocket model is not here"
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """A library with <biscuit> in it, the loaded base, and the entry."""
    from perfusion_core.studio.bases import Bases
    from perfusion_core.studio.library import Library
    from perfusion_core.studio.settings import Settings
    from perfusion_core.studio.teach import TeachRequest, begin_teaching, teach

    settings = Settings(home=tmp_path_factory.mktemp("journey"), device="cpu")
    library, loaded = Library(settings.home), Bases(settings).get()
    folder = begin_teaching(library, TeachRequest([EXAMPLE], "biscuit", "dog"))
    entry = teach(library, loaded, folder).entry
    assert entry is not None
    return library, loaded, entry


@pytest.fixture(scope="module")
def measured(taught: tuple[Any, Any, Any]) -> Any:
    from perfusion_core.studio.evaluate import evaluate_concept

    library, loaded, _ = taught
    return evaluate_concept(
        library, loaded, "biscuit", prompts=["a photo of {}", "{} on the beach", "{} in the snow"], seeds=2
    )


def test_a_taught_concept_resembles_its_photos_more_than_the_word_for_it_does(measured: Any) -> None:
    assert measured.knee.image > measured.untaught.image + LIKENESS_MARGIN


def test_a_taught_concept_still_follows_the_prompt(measured: Any) -> None:
    assert measured.points[0].text > measured.untaught.text * PROMPT_SHARE


def test_a_lower_bias_follows_the_prompt_less(measured: Any) -> None:
    assert measured.steadiness[1] > STEADINESS


@pytest.mark.xfail(
    strict=False, reason="likeness does not move steadily with the bias on the pocket model yet"
)
def test_a_lower_bias_resembles_the_photos_more(measured: Any) -> None:
    assert measured.steadiness[0] > STEADINESS
    assert measured.subject_steadiness is None or measured.subject_steadiness > STEADINESS


def test_the_concepts_own_token_opens_its_gate(taught: tuple[Any, Any, Any]) -> None:
    assert 0.9 < taught[2].metadata.token_similarity < 1.1


def test_an_image_is_repeated_bit_for_bit_from_its_file(taught: tuple[Any, Any, Any], tmp_path: Path) -> None:
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.create import make_images, repeat_image

    library, loaded, _ = taught
    request = GenerationRequest("a photo of <biscuit> wearing a crown", seed=7, count=2)
    images = make_images(library, loaded, request, tmp_path).paths
    assert repeat_image(library, loaded, images[1], tmp_path).paths[0].read_bytes() == images[1].read_bytes()


LIKENESS_MARGIN = 0.05
PROMPT_SHARE = 0.5
STEADINESS = 0.3
