"""Training a concept, from photos to an entry of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.concept import validate_name
from perfusion_core.container import shown
from perfusion_core.errors import LibraryError, NameTakenError, PromptError
from perfusion_core.printable import is_showable
from perfusion_core.sampling.generator import GenerationRequest, generate
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.fronts.recommendation import front_validation, with_recommendation
from perfusion_core.studio.fronts.validation import FIRST_SEED, Judge, Validation
from perfusion_core.studio.library.library import Library, LibraryEntry
from perfusion_core.studio.library.names import plain
from perfusion_core.studio.library.thumbnails import embedded
from perfusion_core.studio.teaching.crops import given_masks, make_squares, with_crops
from perfusion_core.studio.teaching.run_folder import PhotoFacts, RunFolder, Setting, Teaching
from perfusion_core.training.events import Stopped

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept
    from perfusion_core.training.events import TrainEvent
    from perfusion_core.training.photos import Box, Photo
    from perfusion_core.training.recipe import Pace, Recipe
    from perfusion_core.training.together import Course

LARGEST_PREVIEW = 256  # pixels


@dataclass(frozen=True)
class TeachRequest:
    """What a person asks for. `photos` as `training.photos.load_photos` takes them.

    `crops` are squares chosen by hand, one a photo (None to have it found), in pixels of the upright photo of
    at most `photos.MAX_SIDE`. `masks` given by hand, likewise, lie over those squares (the middle one where
    none was chosen) and go before what the segmenter sees. `pace` is the preset; `settings` are single fields
    of the `Recipe` in place of the preset's.
    """

    photos: Sequence[Any]
    name: str
    superclass: str
    base: str = "pocket"
    mask: Literal["auto", "none"] = "auto"
    masks: Sequence[Any] | Mapping[str, Any] | None = None
    crops: Sequence[Box | None] | None = None
    pace: Pace = "balanced"
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    overwrite: bool = False


@dataclass(frozen=True)
class Taught:
    """How a teaching ended. `entry` is None when it was stopped; `folder` can then be resumed."""

    folder: Path
    entry: LibraryEntry | None
    warnings: tuple[str, ...]


Listener = Callable[["TrainEvent", Sequence[Path]], None]
"""Called with everything that happens, and with the files of the previews when there are new ones."""


def begin_teaching(library: Library, request: TeachRequest) -> Path:
    """Check the request and the photos and put them into a folder of their own; needs no model.

    Returns the folder for `teach`. Raises `PhotoError`, `ConceptError` (the name) or `LibraryError` (name
    taken).
    """
    from perfusion_core.training.photos import load_photos

    name = validate_name(plain(request.name))
    superclass = checked_superclass(request.superclass)
    if not request.overwrite:
        library.check_free(name)
    photos = load_photos(request.photos)
    return library.begin(lambda folder: _fill(RunFolder(folder), request, name, superclass, photos))


def _fill(run: RunFolder, request: TeachRequest, name: str, superclass: str, photos: Sequence[Photo]) -> None:
    run.write_photos(photos)
    photos = with_crops(photos, request.crops)
    masks = given_masks(photos, superclass, request.masks)
    crops = request.crops or [None] * len(photos)
    facts: list[PhotoFacts] = []
    for photo, mask, crop in zip(photos, masks, crops, strict=True):
        decided = photo.crop if mask is not None else crop  # a mask belongs to one square
        facts.append(
            PhotoFacts(
                sha=photo.sha, original_name=photo.original_name, crop=decided, painted=mask is not None
            )
        )
        if mask is not None:
            run.write_square(photo.id, photo.image, mask)
    run.write_teaching(
        Teaching(
            name=name,
            superclass=superclass,
            base=request.base,
            mask=request.mask,
            pace=request.pace,
            settings=dict(request.settings),
            overwrite=request.overwrite,
            photos=facts,
            warnings=[warning for photo in photos for warning in photo.warnings],
        )
    )


def find_unfinished(library: Library, name: str = "") -> Path:
    """The folder of the latest unfinished teaching, of that name when given. Raises `LibraryError`."""
    wanted = plain(name).casefold()
    known: list[str] = []
    for folder in library.unfinished():
        try:
            teaching = RunFolder(folder).teaching()
        except LibraryError:
            continue
        if wanted in ("", teaching.name.casefold()):
            return folder
        known.append(f"<{teaching.name}>")
    what = f" of <{wanted}>" if wanted else ""
    there = f" There is one of {', '.join(dict.fromkeys(known))}." if known else ""
    raise LibraryError(f"There is no unfinished teaching{what} to resume.{there}")


def teach(
    library: Library,
    loaded: LoadedBase,
    folder: Path,
    *,
    listen: Listener = lambda event, previews: None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda message: None,
) -> Taught:
    """Train on what `begin_teaching` put into `folder`, or resume it, and keep the concept in the library.

    `say` is told which stage begins. Stopping keeps everything; so does any error, and both can be continued.
    A teaching that has come to its concept is not done again. A name that was given away meanwhile gets a
    number, and a warning says so.
    """
    from perfusion_core.training.together import alone

    return alone(teach_in_steps(library, loaded, folder, listen=listen, should_stop=should_stop, say=say))


def teach_in_steps(
    library: Library,
    loaded: LoadedBase,
    folder: Path,
    *,
    listen: Listener = lambda event, previews: None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda message: None,
) -> Course[Taught]:
    """`teach` as a course, which can share a batch with others: see `teach_together`."""
    from perfusion_core.training.step import PendingStep
    from perfusion_core.training.task import TrainingTask
    from perfusion_core.training.trainer import events_and_steps

    run = RunFolder(folder)
    teaching = run.teaching()
    warnings = list(teaching.warnings)
    finished = library.finished(folder)
    if finished is not None:
        if teaching.overwrite:  # the one it replaces may not have gone yet
            finished = library.add(finished.load(), folder=folder, overwrite=True)
        return Taught(folder, finished, tuple(warnings))
    make_squares(run, teaching, loaded, warnings, say)
    pairs = [run.square(facts) for facts in teaching.photos]
    photos, masks = [photo for photo, _ in pairs], [mask for _, mask in pairs]
    recipe = run.recipe() or _new_recipe(run, teaching, loaded)

    scorer = loaded.scorer
    if isinstance(scorer, Missing):
        warnings.append(f"Without scores, the last step is kept and not the best. {scorer.reason}")
        scorer = None
    validation = Validation(recipe.validation_prompts, recipe.validation_steps, recipe.validation_guidance)
    judge = Judge(loaded, validation, [photo.image for photo in photos], scorer, should_stop)

    covariance = loaded.covariance  # may take minutes once for a new base, and tells how far it is
    say("Teaching")
    chosen: Concept | None = None
    task = TrainingTask(
        photos,
        masks,
        teaching.name,
        teaching.superclass,
        recipe,
        run.run,
        score=judge.score if scorer is not None else None,
        preview=judge.images,
        resume=True,
        should_stop=should_stop,
    )
    for event in events_and_steps(loaded.base, task, covariance):
        if isinstance(event, PendingStep):
            yield event
            continue
        paths = [_write_preview(run, event.step, k, image) for k, image in enumerate(event.images)]
        listen(event, paths)
        if event.kind == "stopped":
            return Taught(folder, None, tuple(warnings))
        if event.kind == "done":
            chosen = event.concept
    assert chosen is not None, "the trainer ended without a concept"

    try:
        if scorer is not None:
            say("Measuring the front")
            front = Judge(
                loaded, front_validation(recipe), [photo.image for photo in photos], scorer, should_stop
            )
            chosen = with_recommendation(chosen, front, scorer.name)
        thumbnail = _portrait(chosen, loaded, should_stop)
    except Stopped:
        return Taught(folder, None, tuple(warnings))
    if chosen.keys is None:  # with trained keys the file is as large as it may be
        chosen = chosen.with_metadata(thumbnail=embedded(thumbnail))
    try:
        entry = library.add(chosen, thumbnail=thumbnail, folder=folder, overwrite=teaching.overwrite)
    except NameTakenError:
        free = library.free_name(chosen.name)
        warnings.append(f"<{chosen.name}> was given to another concept meanwhile, so this one is <{free}>.")
        renamed = chosen.with_metadata(name=free)
        entry = library.add(renamed, thumbnail=thumbnail, folder=folder)
    return Taught(folder, entry, tuple(warnings))


def checked_superclass(word: str) -> str:
    """The word for a kind of thing, with single spaces. Raises `PromptError`."""
    plain = " ".join(word.split())
    if not plain or "<" in plain or ">" in plain or len(plain) > 60 or not is_showable(plain):
        raise PromptError(
            f"The superclass {shown(word)} cannot be used. Say what kind of thing it is in a word or two, "
            "such as dog."
        )
    return plain


def _new_recipe(run: RunFolder, teaching: Teaching, loaded: LoadedBase) -> Recipe:
    from perfusion_core.training.recipe import Recipe

    given = any(facts.painted for facts in teaching.photos)
    settings: dict[str, Any] = {**teaching.settings, "mask": "given" if given else teaching.mask}
    for name in ("templates", "validation_prompts"):  # lines of one text, as `Recipe.to_dict` has them
        if isinstance(settings.get(name), str):
            settings[name] = tuple(line for line in settings[name].split("\n") if line)
    base = loaded.base
    full = settings.get("precision") == "float32" or base.device.type != "cuda"
    free = loaded.training_gib()
    recipe = Recipe.preset(base.description, free, pace=teaching.pace, full_precision=full, **settings)
    run.write_recipe(recipe)
    return recipe


def _portrait(concept: Concept, loaded: LoadedBase, should_stop: Callable[[], bool]) -> Image.Image:
    # With an article and a place: the bundled base draws that best, and a card shows the thing somewhere.
    request = GenerationRequest(f"a photo of a {concept.placeholder} on the beach", seed=FIRST_SEED)
    made = generate(
        loaded.base,
        {concept.name: concept},
        request,
        covariance=loaded.covariance,
        should_stop=should_stop,
    )
    if made.stopped:
        raise Stopped
    return made.images[0].image


def _write_preview(run: RunFolder, step: int, number: int, image: Image.Image) -> Path:
    small = image.copy()
    small.thumbnail((LARGEST_PREVIEW, LARGEST_PREVIEW))
    return run.write_preview(step, number, small)
