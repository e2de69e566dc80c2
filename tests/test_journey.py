"""The whole journey on the bundled model: photos, a concept, its front, an image and its repeat.

The bars were set after one measurement, on an unfinished base (poodle, 7 biases, 3 prompts, 2 seeds):
likeness 0.282 at the knee against 0.164 untaught, alignment 0.619 at the highest bias against 0.702
untaught, rank correlation along the slider 1.00 for the prompt, 0.81 for the likeness of the subject alone,
and -0.05 for the likeness of the whole picture. The last is not held here: it does not move steadily, which
is an open matter.
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


def test_the_slider_moves_prompt_and_subject_the_right_way(measured: Any) -> None:
    assert measured.steadiness[1] > STEADINESS
    if measured.subject_steadiness is None:
        pytest.skip("this base came without a segmenter")
    assert measured.subject_steadiness > STEADINESS


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
