"""All methods, in the order of the report's tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rivals.methods.custom_diffusion import CustomDiffusion
from benchmarks.rivals.methods.dreambooth import DreamBooth
from benchmarks.rivals.methods.gated_edit import AS_PUBLISHED, GatedEdit
from benchmarks.rivals.methods.lora import Lora
from benchmarks.rivals.methods.method import Method
from benchmarks.rivals.methods.textual_inversion import TextualInversion
from perfusion_core.errors import PerfusionError

OURS = "ours-local"  # the one that every rival is compared with


def all_methods() -> dict[str, Method]:
    """Every method by name."""
    keys = {"keys": "trained"}
    methods: list[Method] = [
        GatedEdit(OURS, "Ours, local lock"),
        GatedEdit("ours-global", "Ours, global lock", lock="global"),
        GatedEdit("ours-trained-keys", "Ours, keys trained", teacher="gated-edit-keys", recipe=keys),
        GatedEdit(
            "ours-base-flow",
            "Ours, other words beside the superclass",
            teacher="gated-edit-base-flow",
            recipe={"neighbours": "superclass"},
        ),
        GatedEdit(
            "ours-word-norm",
            "Ours, direction of the word alone",
            teacher="gated-edit-word-norm",
            recipe={"word_norm": "vocabulary"},
        ),
        GatedEdit(
            "ours-noise",
            "Ours, taught at the times 500 to 900",
            teacher="gated-edit-noise",
            recipe={"noise_from": 0.5, "noise_to": 0.9},
        ),
        GatedEdit(
            "ours-mask-alone",
            "Ours, loss inside the masks alone",
            teacher="gated-edit-mask-alone",
            recipe={"background": 0.0},
        ),
        GatedEdit("ours-compact", "Ours, compact file", compact=True),
        Published(),
        TextualInversion(),
        DreamBooth(prior=False),
        DreamBooth(prior=True),
        Lora(4),
        Lora(16),
        CustomDiffusion(joint=False),
        CustomDiffusion(joint=True),
    ]
    return {method.name: method for method in methods}


class Published(GatedEdit):
    """Perfusion by the paper: a rival of what the studio made of it."""

    ours = False
    source = "the paper's appendix: 0.03 and 0.006, batch 16, 400 steps, bias 0.75, temperature 0.1"

    def __init__(self) -> None:
        super().__init__(
            "perfusion-paper",
            "Perfusion as published",
            teacher="perfusion-paper",
            recipe=AS_PUBLISHED,
            removal="paper",
            anchored=False,
        )


def chosen_methods(names: Sequence[str]) -> dict[str, Method]:
    """Those named, all without names. Raises PerfusionError for one that there is not."""
    known = all_methods()
    for name in names:
        if name not in known:
            raise PerfusionError(f"There is no method {name!r}. Choose among: {', '.join(known)}.")
    return {name: known[name] for name in (names or known)}
