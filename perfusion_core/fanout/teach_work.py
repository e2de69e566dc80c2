"""A worker that teaches: the base stays in memory, and each concept has a library of its own for a while."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.fanout.loaded_base import BaseFacts, BaseSetup
from perfusion_core.fanout.tasks import Ends, Json, Kept, Progress, Result, Task, Tell
from perfusion_core.fanout.worker_loop import attempt
from perfusion_core.files import make_folder, write_atomic
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import Taught, TeachRequest, begin_teaching
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.studio.teaching.teach_together import Prepared, teach_together

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept
    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.training.events import TrainEvent

LARGEST_CHECKPOINT = 16 * 2**20  # bytes; Stable Diffusion 1.5's is under 1 MB
LARGEST_SQUARES = 16 * 2**20  # bytes of squares and masks; larger ones are found again, like the first time
PROGRESS_EVERY = 1.0  # seconds
SHOWN_PHOTOS, SHOWN_PREVIEWS, FRONT_POINTS = 4, 4, 5
CARD_SIDE = 128  # pixels of an image in the report
FRONT_PROMPT = "a photo of a {} on the beach"


@dataclass(frozen=True)
class TeachPayload:
    """One concept to teach. photos: names and contents of the files."""

    name: str
    superclass: str
    photos: tuple[tuple[str, bytes], ...]
    mask: Literal["auto", "none"]
    pace: Literal["balanced", "quick"]
    settings: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class TeachSetup:
    """How a teaching worker is made."""

    base: BaseSetup

    def work(self) -> TeachWork:
        return TeachWork(self.base.load())

    def sharing(self, facts: BaseFacts) -> TeachSetup:
        """The same for the workers after the first, which need not find out what that one did."""
        return TeachSetup(replace(self.base, shared=facts))


class TeachWork:
    """See `tasks.Work`."""

    def __init__(self, loaded: LoadedBase) -> None:
        self._loaded = loaded

    def ready(self) -> Json:
        return {"base": BaseFacts.of(self._loaded)}

    def do(self, tasks: Sequence[Task], tell: Tell) -> Ends:
        with tempfile.TemporaryDirectory(prefix="perfusion-", ignore_cleanup_errors=True) as home:
            begun: list[_Teaching] = []
            for number, task in enumerate(tasks):
                library = Library(Path(home) / str(number))
                one = attempt(lambda library=library, task=task: _Teaching(self._loaded, library, task, tell))
                if isinstance(one, Exception):  # such as a photo that is cut off
                    yield task.label, one
                else:
                    begun.append(one)
            prepared = [teaching.prepared() for teaching in begun]
            for number, taught in teach_together(self._loaded, prepared, max(1, len(begun))):
                yield begun[number].label, begun[number].ended(taught)


class _Teaching:
    """One concept, from its payload to its result."""

    def __init__(self, loaded: LoadedBase, library: Library, task: Task, tell: Tell) -> None:
        """Check the photos. Raises `PerfusionError`."""
        self.label = task.label
        self._begun = time.perf_counter()
        self._loaded = loaded
        self._library = library
        self._task = task
        self._payload: TeachPayload = task.payload
        self._tell = tell
        self._sent = set(task.kept)
        self._told = 0.0
        self._stage = ""
        self._clock = StepClock()
        self._previews: dict[int, Sequence[Path]] = {}
        payload = self._payload
        request = TeachRequest(
            photos=list(payload.photos),
            name=payload.name,
            superclass=payload.superclass,
            base=self._loaded.base.id,
            mask=payload.mask,
            pace=payload.pace,
            settings=payload.settings,
        )
        self._folder = begin_teaching(library, request)
        self._run = RunFolder(self._folder)
        self._restore()

    def prepared(self) -> Prepared:
        return Prepared(self._library, self._folder, listen=self._listen, say=self._say)

    def ended(self, taught: Taught | Exception) -> Result | Exception:
        """What is sent of a teaching that has ended, or why there is nothing."""
        return taught if isinstance(taught, Exception) else attempt(lambda: self._result(taught))

    def _result(self, taught: Taught) -> Result:
        payload = self._payload
        assert taught.entry is not None, "nothing asked this teaching to stop"
        self._say("Drawing the front")
        front = draw_front(taught.entry.load(), self._loaded, self._run.squares()[0])
        label, metadata = self._task.label, taught.entry.metadata
        images = self._images(front.images, int(metadata.scores.get("step", -1)))
        facts: Json = {
            "name": payload.name,
            "superclass": payload.superclass,
            "scores": dict(metadata.scores),
            "bias": dict(metadata.bias),
            "scorer": metadata.recipe.get("scorer", ""),
            "settings": dict(payload.settings),
            "photos": len(payload.photos),
            "warnings": list(taught.warnings),
            "front": front.points,
            "seconds": round(time.perf_counter() - self._begun, 3),
            "timing": self._clock.facts(),
        }
        concept = taught.entry.file.read_bytes()
        return Result({f"concepts/{label}.safetensors": concept, f"images/{label}.json": images}, facts)

    def _restore(self) -> None:
        """Put the checkpoint's files where `teach` looks for them."""
        for path, content in self._task.kept.items():
            target = self._run.run / path
            make_folder(target.parent, "Free some space there.", private=True)
            write_atomic(target, content, private=True)

    def _say(self, stage: str) -> None:
        self._stage = stage
        self._tell(Progress(self._task.label, {"stage": stage}))

    def _listen(self, event: TrainEvent, previews: Sequence[Path]) -> None:
        self._clock.note(event.kind)
        if previews:
            self._previews[event.step] = previews
        if event.kind == "checkpoint":
            self._keep()
        now = time.monotonic()
        if now - self._told >= PROGRESS_EVERY or event.kind in ("start", "done"):
            self._told = now
            facts = {"stage": self._stage, "step": event.step, "total": event.total, "loss": event.loss}
            self._tell(Progress(self._task.label, {**facts, "eta": event.eta}))

    def _keep(self) -> None:
        """Send the checkpoint, and once the squares and masks that it belongs to."""
        run = self._run.run
        checkpoint = (run / "checkpoint.pt").read_bytes()
        if len(checkpoint) > LARGEST_CHECKPOINT:
            return
        files: dict[str, bytes] = {}
        once = [run / "recipe.json", *sorted(run.glob("squares/*.png")), *sorted(run.glob("masks/*.png"))]
        if "recipe.json" not in self._sent:
            small = sum(path.stat().st_size for path in once) <= LARGEST_SQUARES
            files = {
                path.relative_to(run).as_posix(): path.read_bytes() for path in (once if small else once[:1])
            }
        files["checkpoint.pt"] = checkpoint
        self._sent.update(files)
        self._tell(Kept(self._task.label, files))

    def _images(self, front: Sequence[Image.Image], step: int) -> bytes:
        """Small images for the report: lists of WebP files in base64 by what they show, as JSON. One file
        instead of a dozen, because each costs the driver its time.
        """
        from PIL import Image as PILImage

        squares, _ = self._run.squares()
        kept = self._previews.get(step) or next(iter(reversed(list(self._previews.values()))), ())
        previews: list[Image.Image] = []
        for path in list(kept)[:SHOWN_PREVIEWS]:
            with PILImage.open(path, formats=["PNG"]) as image:
                previews.append(image.convert("RGB"))
        shown = {"photo": squares[:SHOWN_PHOTOS], "preview": previews, "front": front}
        return json.dumps(
            {kind: [_small(image) for image in images] for kind, images in shown.items()}
        ).encode()


class StepClock:
    """How long steps and checkpoints take, from the moments of a run's events."""

    def __init__(self) -> None:
        self._last = 0.0
        self._steps: list[float] = []
        self._checkpoints: list[float] = []

    def note(self, kind: str) -> None:
        now = time.perf_counter()
        if kind in ("score", "preview"):  # part of the checkpoint that follows
            return
        if self._last and kind == "step":
            self._steps.append(now - self._last)
        elif self._last and kind == "checkpoint":
            self._checkpoints.append(now - self._last)
        self._last = now

    def facts(self) -> Json:
        """Medians in seconds; None for what did not happen."""
        middle = [
            sorted(times)[len(times) // 2] if times else None for times in (self._steps, self._checkpoints)
        ]
        return {"step": middle[0], "checkpoint": middle[1]}


@dataclass(frozen=True)
class _Front:
    images: list[Any]
    points: list[Json]


def draw_front(concept: Concept, loaded: LoadedBase, photos: Sequence[Image.Image]) -> _Front:
    """One image at each of FRONT_POINTS gate biases, scored where there is a scorer."""
    from perfusion_core.sampling.generator import front
    from perfusion_core.sampling.operating_points import front_biases
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.bases import Missing
    from perfusion_core.studio.fronts.scores import FrontJudge

    biases = front_biases(FRONT_POINTS)
    request = GenerationRequest(FRONT_PROMPT.format(concept.placeholder))
    concepts = {concept.name: concept}
    made = front(loaded.base, concepts, request, concept.name, biases, covariance=loaded.covariance)
    images = [image.image for image in made.images]
    scorer = loaded.scorer
    if isinstance(scorer, Missing) or not photos:
        return _Front(images, [{"bias": bias} for bias in biases])
    shots = FrontJudge(scorer, list(photos)).shots(images, biases, FRONT_PROMPT.format(concept.superclass))
    return _Front(images, [{"bias": s.bias, "image": s.image, "text": s.text} for s in shots])


def _small(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((CARD_SIDE, CARD_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
