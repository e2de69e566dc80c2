"""A worker that generates: the base and all concepts of the list stay in memory, each task is one line."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from perfusion_core.concept import Concept, concept_from_bytes
from perfusion_core.fanout.content_key import base_part, digest_of
from perfusion_core.fanout.loaded_base import BaseFacts, BaseSetup
from perfusion_core.fanout.prompt_list import PromptLine
from perfusion_core.fanout.tasks import Ends, Json, Planned, Progress, Result, Task, Tell
from perfusion_core.fanout.worker_loop import one_by_one
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.png import png_bytes
from perfusion_core.sampling.request import GenerationRequest, concepts_in

if TYPE_CHECKING:
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.studio.bases import LoadedBase

PROGRESS_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class GenerateSetup:
    """How a generating worker is made. concepts: files' contents by name."""

    base: BaseSetup
    concepts: Mapping[str, bytes]

    def work(self) -> GenerateWork:
        concepts = {name: concept_from_bytes(content, name) for name, content in self.concepts.items()}
        return GenerateWork(self.base.load(), concepts)

    def sharing(self, facts: BaseFacts) -> GenerateSetup:
        """The same for the workers after the first."""
        return replace(self, base=replace(self.base, shared=facts))


class GenerateWork:
    """See `tasks.Work`."""

    def __init__(self, loaded: LoadedBase, concepts: Mapping[str, Concept]) -> None:
        self._loaded = loaded
        self._concepts = concepts

    def ready(self) -> Json:
        return {"base": BaseFacts.of(self._loaded, scoring=False)}

    def do(self, tasks: Sequence[Task], tell: Tell) -> Ends:
        return one_by_one(tasks, lambda task: self._made(task, tell))

    def _made(self, task: Task, tell: Tell) -> Result:
        request: GenerationRequest = task.payload
        begun = told = time.perf_counter()

        def on_step(done: int, total: int) -> None:
            nonlocal told
            if time.perf_counter() - told >= PROGRESS_EVERY:
                told = time.perf_counter()
                tell(Progress(task.label, {"step": done, "total": total}))

        used = concepts_in([request.prompt, request.negative_prompt], self._concepts)
        covariance: Any = self._loaded.covariance if used else None
        made = generate(self._loaded.base, used, request, covariance=covariance, on_step=on_step)
        files: dict[str, bytes] = {}
        for number, image in enumerate(made.images):
            ending = f"-{number + 1:03d}" if request.count > 1 else ""
            files[f"images/{task.label}{ending}.png"] = png_bytes(image.image, image.recipe)
        seconds = round(time.perf_counter() - begun, 3)
        return Result(
            files,
            {
                "prompt": request.prompt,
                "seed": request.seed,
                "images": len(files),
                "warnings": list(made.warnings),
                "seconds": seconds,
            },
        )


def planned_images(
    lines: list[PromptLine],
    concepts: Mapping[str, Concept],
    facts: BaseFacts,
    loras: Sequence[tuple[ChosenLora, str]] = (),
) -> list[Planned]:
    """The lines with their keys: of the request, the concepts it uses, the base and the LoRAs on it."""
    worn = {"loras": [[digest, lora.weight] for lora, digest in loras]} if loras else {}
    planned: list[Planned] = []
    for line in lines:
        asked = line.request
        used = concepts_in([asked.prompt, asked.negative_prompt], concepts)
        key = digest_of(
            {
                "request": asdict(asked),
                "concepts": {name: [one.content_hash, one.metadata.bias] for name, one in used.items()},
                "base": base_part(facts),
                **worn,
            }
        )
        planned.append(Planned(line.label, key, lambda asked=asked: asked))
    return planned
