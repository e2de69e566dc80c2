"""The whole journey on the bundled model: photos, a concept, its front, an image and its repeat.

What was measured for the hiking boot as the preset teaches it (7 biases, 3 prompts, 4 seeds, 8 steps, on the
bundled base): image similarity -0.015 at the prompt's end and 0.679 at the photos' (the word alone -0.030),
text similarity 0.351 and 0.044 (the word alone 0.346); rank correlation along the slider 0.81 for the image
similarity, 0.71 for that of the subject alone, 0.71 for the prompt. The bars leave room for another machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.model.listing import pocket_folder

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "assets" / "examples" / "hiking-boot"
PROMPTS = ("a photo of a {}", "a photo of a {} on the beach", "a photo of a {} in the snow")

pytestmark = pytest.mark.skipif(
    not (pocket_folder() / "model_index.json").is_file(), reason="the pocket model is not here"
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """A library with <trekker> in it, the loaded base, and the entry."""
    from perfusion_core.studio.bases import Bases
    from perfusion_core.studio.library.library import Library
    from perfusion_core.studio.settings import Settings
    from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach

    settings = Settings(home=tmp_path_factory.mktemp("journey"), device="cpu")
    library, loaded = Library(settings.home), Bases(settings).get()
    # The preset's own teaching; what is drawn on the way, to choose a checkpoint and a bias, is less.
    quick = {"checkpoint_every": 100, "validation_steps": 5, "validation_prompts": "\n".join(PROMPTS)}
    folder = begin_teaching(library, TeachRequest([EXAMPLE], "trekker", "boot", settings=quick))
    entry = teach(library, loaded, folder).entry
    assert entry is not None
    return library, loaded, entry


@pytest.fixture(scope="module")
def measured(taught: tuple[Any, Any, Any]) -> Any:
    from perfusion_core.studio.fronts.evaluate import evaluate_concept

    library, loaded, _ = taught
    return evaluate_concept(library, loaded, "trekker", prompts=PROMPTS, seeds=2, steps=8)


def test_a_taught_concept_resembles_its_photos_more_than_the_word_for_it_does(measured: Any) -> None:
    assert measured.points[-1].image > measured.untaught.image + IMAGE_MARGIN


def test_a_taught_concept_still_follows_the_prompt(measured: Any) -> None:
    assert measured.points[0].text > measured.untaught.text * PROMPT_SHARE


def test_a_lower_bias_resembles_the_photos_more_and_follows_the_prompt_less(measured: Any) -> None:
    image, text = measured.steadiness
    assert image > STEADINESS
    assert text > STEADINESS
    assert measured.subject_steadiness > STEADINESS


def test_the_slider_moves_both_scores_by_a_clear_margin(measured: Any) -> None:
    first, last = measured.points[0], measured.points[-1]  # from the highest bias to the lowest
    assert last.image - first.image > TRAVEL
    assert first.text - last.text > TRAVEL


def test_the_concepts_own_token_opens_its_gate(taught: tuple[Any, Any, Any]) -> None:
    assert 0.9 < taught[2].metadata.token_similarity < 1.1


def test_an_image_is_repeated_bit_for_bit_from_its_file(taught: tuple[Any, Any, Any], tmp_path: Path) -> None:
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.creating.create import make_images, repeat_image

    library, loaded, _ = taught
    request = GenerationRequest("a photo of <trekker> wearing a crown", seed=7, count=2)
    images = make_images(library, loaded, request, tmp_path).paths
    assert repeat_image(library, loaded, images[1], tmp_path).paths[0].read_bytes() == images[1].read_bytes()


IMAGE_MARGIN = 0.4
PROMPT_SHARE = 0.8
STEADINESS = 0.4
TRAVEL = 0.2
