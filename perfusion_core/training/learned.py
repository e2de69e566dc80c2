"""What is learned, and how it becomes a concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perfusion_core.concept import Concept, ConceptMetadata
from perfusion_core.edit.choices import DEFAULT_BIAS
from perfusion_core.edit.gate import similarity
from perfusion_core.errors import TrainingError
from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.text import PromptEncoding
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.model.text import PromptEncoder

SIMILARITY_LIMITS = (0.9, 1.1)  # outside, the bias slider no longer means what it says
_NEAR_ENOUGH = 0.03
_SETTLING_DECAY = 0.9
_LONGEST_SETTLING = 200


@dataclass
class Learned:
    """Everything that training changes, in float32; `inject` accepts it in place of a finished concept.

    embeddings[encoder] (E,), by the text encoder's name in the pipeline, and values[path] (O,) are
    parameters, keys too when they are trained (else None: locked to superclass_encoding (D,)).
    target_input (D,) is i*, a running average that gets no gradient. norms[encoder]: where the
    embedding's norm is held; empty where it is free.
    """

    name: str
    superclass: str
    embeddings: dict[str, nn.Parameter]
    target_input: Tensor
    superclass_encoding: Tensor
    values: dict[str, nn.Parameter]
    keys: dict[str, nn.Parameter] | None
    offset: nn.Parameter | None = None
    value_weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    norms: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def placeholder(self) -> str:
        return f"<{self.name}>"

    @property
    def embedding(self) -> nn.Parameter:
        """The word embedding in the first text encoder. Shape: (E,)."""
        return self.embeddings["text_encoder"]

    def targets(self) -> list[nn.Parameter]:
        """The learned target outputs of all layers."""
        return [*self.values.values(), *(self.keys.values() if self.keys else ())]

    def average(self, encoding: Tensor, decay: float) -> None:
        """Move the running average i* towards this step's mean encoding of the token. Shape: (D,)."""
        self.target_input = decay * self.target_input + (1 - decay) * encoding.to(self.target_input.device)

    def gather_offset_gradient(self, prior: float, inverse_covariance: Tensor) -> None:
        """Give the offset its gradient, W_V^T (dL/do*_V) summed over the layers; after the backward pass.

        And the gradient of `prior` times z^T C^-1 z / D, z the shared encoding (superclass + offset): 1 for a
        usual word of the caption corpus, and larger the less z resembles any.
        Shape: inverse_covariance (D, D).
        """
        if self.offset is None:
            return
        pulled = [
            self.value_weights[path].T @ value.grad
            for path, value in self.values.items()
            if value.grad is not None
        ]
        shared = self.superclass_encoding.to(self.offset.device) + self.offset.detach()
        unusual = 2 * inverse_covariance.to(self.offset.device) @ shared / len(shared)
        self.offset.grad = torch.stack(pulled).sum(dim=0).to(self.offset.device) + prior * unusual

    @torch.no_grad()
    def apply_offset(self, before: Tensor) -> None:
        """Let every value follow the offset, which was `before` (D,) until the optimizer's step."""
        assert self.offset is not None
        moved = self.offset - before
        for path, value in self.values.items():
            value += self.value_weights[path] @ moved.to(value.device)

    def direct_gradients(self) -> None:
        """Where norms are held, leave of the embeddings' gradients what turns them; after the backward pass.

        Else Adam's averages would fill with a direction in which no step is taken.
        """
        for part in self.norms:
            embedding = self.embeddings[part]
            if embedding.grad is not None:
                along = embedding.detach() / embedding.detach().norm()
                embedding.grad -= (embedding.grad @ along) * along

    @torch.no_grad()
    def hold_norms(self) -> None:
        """Bring the embeddings back to their norms, where these are held; after the optimizer's step."""
        for part, norm in self.norms.items():
            embedding = self.embeddings[part]
            embedding *= norm / embedding.norm()

    def is_finite(self) -> bool:
        tensors = [*self.embeddings.values(), self.target_input, *self.targets()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

    def tensors(self) -> dict[str, Tensor | dict[str, Tensor] | None]:
        """All of it as plain tensors on the CPU, for a checkpoint."""
        return {
            "embeddings": {part: _plain(embedding) for part, embedding in self.embeddings.items()},
            "target_input": _plain(self.target_input),
            "superclass_encoding": _plain(self.superclass_encoding),
            "values": {path: _plain(value) for path, value in self.values.items()},
            "keys": {path: _plain(key) for path, key in self.keys.items()} if self.keys else None,
            "offset": None if self.offset is None else _plain(self.offset),
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, object]) -> None:
        """The reverse of `tensors`, in place, so that an optimizer keeps its parameters."""
        for name in ("target_input", "superclass_encoding"):
            getattr(self, name).copy_(tensors[name])
        for name in ("embeddings", "values", "keys"):
            for path, parameter in (getattr(self, name) or {}).items():
                parameter.copy_(tensors[name][path])  # type: ignore[index]
        if self.offset is not None:
            self.offset.copy_(tensors["offset"])  # type: ignore[arg-type]


@torch.no_grad()
def begin(
    base: Base,
    encoder: PromptEncoder,
    name: str,
    superclass: str,
    prompts: Sequence[str],
    recipe: Recipe,
) -> Learned:
    """The state before the first step: the concept equals its superclass.

    The embedding is the superclass word's (the mean of its tokens), i* its encoding, every o* its
    projection, each a mean over `prompts`, the first batch's templates. With `word_norm` "vocabulary" the
    embedding has only the superclass word's direction.
    """
    words = encoder.superclass_embeddings(superclass)
    embeddings = {part: nn.Parameter(word.clone()) for part, word in words.items()}
    nowhere = torch.empty(0)
    learned = Learned(name, superclass, embeddings, nowhere, nowhere, {}, None)
    encoded = encoder.encode(prompts, {name: learned})
    encoding = concept_tokens(encoded, name, encoded.superclass_encoding).mean(dim=0)  # (D,)
    attentions = cross_attentions(base.denoiser)
    learned.target_input = encoding.clone()
    learned.superclass_encoding = encoding.clone()
    learned.values = {path: _projected(attention.to_v, encoding) for path, attention in attentions.items()}
    if recipe.word_norm == "vocabulary":
        learned.norms = encoder.vocabulary_norms()
        learned.hold_norms()
    if recipe.keys == "trained":
        learned.keys = {path: _projected(attention.to_k, encoding) for path, attention in attentions.items()}
    if recipe.offset_rate:
        learned.offset = nn.Parameter(torch.zeros_like(encoding))
        learned.value_weights = {path: _weight(a.to_v, len(encoding)) for path, a in attentions.items()}
    return learned


def concept_tokens(encoded: PromptEncoding, name: str, encoding: Tensor | None = None) -> Tensor:
    """The encodings of the concept's own token, one a prompt. Shape: (B, D)."""
    source = encoded.encoding if encoding is None else encoding
    positions = torch.tensor([found[name][0] for found in encoded.positions], device=source.device)
    return source[torch.arange(len(source), device=source.device), positions]


def settled(target_input: Tensor, tokens: Tensor, inverse_covariance: Tensor) -> tuple[Tensor, float]:
    """i* such that the concept's tokens have a mean similarity of about 1 to it, and that similarity.

    A running average lags behind an embedding that moves, and then the concept's own token is too similar
    to it (up to several times), every gate bias people choose lies below it, and the slider does nothing.
    So the embedding is held still and the average goes on over the encodings of all templates, where it
    converges to their mean, at which the similarity is 1 by definition. It goes on only until that is near
    enough: the targets were learned with the old one. Raises TrainingError when it still does not hold (the
    encodings are not finite or cancel out).

    Shape: target_input (D,), tokens (M, D), inverse_covariance (D, D).
    """
    mean = tokens.mean(dim=0)
    found = _mean_similarity(target_input, tokens, inverse_covariance)
    for _ in range(_LONGEST_SETTLING):
        if abs(found - 1.0) <= _NEAR_ENOUGH:
            break
        target_input = _SETTLING_DECAY * target_input + (1 - _SETTLING_DECAY) * mean
        found = _mean_similarity(target_input, tokens, inverse_covariance)
    low, high = SIMILARITY_LIMITS
    if not low <= found <= high:
        raise TrainingError(
            f"The concept's word did not settle (its similarity to itself is {found:.2f}). "
            "Lower embedding_rate and teach again."
        )
    return target_input, found


def concept_of(
    learned: Learned,
    target_input: Tensor,
    token_similarity: float,
    base: Base,
    covariance: CovarianceStats,
    recipe: Recipe,
    created_at: str,
) -> Concept:
    """The concept as it now stands, ready to be saved; without scores yet."""
    metadata = ConceptMetadata(
        name=learned.name,
        superclass=learned.superclass,
        base=base.id,
        base_fingerprint=base.fingerprint,
        covariance_fingerprint=covariance.fingerprint,
        **base.family.concept_facts(base.encoder_fingerprints),
        prediction_type=base.description.prediction_type,
        recipe=recipe.to_dict(),
        scores={},
        bias=dict(DEFAULT_BIAS),  # until the front of this very concept has been measured
        temperature=recipe.inference_temperature,
        removal=recipe.removal,
        token_similarity=token_similarity,
        created_at=created_at,
        created_by="Perfusion Studio",
    )
    return Concept(
        metadata=metadata,
        target_input=target_input,
        embedding=learned.embedding,
        superclass_encoding=None if learned.keys else learned.superclass_encoding,
        values=learned.values,
        keys=learned.keys,
        further_embeddings={k: v for k, v in learned.embeddings.items() if k != "text_encoder"},
    )


def _mean_similarity(target_input: Tensor, tokens: Tensor, inverse_covariance: Tensor) -> float:
    return float(similarity(tokens[None], target_input, inverse_covariance).mean())


def _projected(projection: nn.Module, encoding: Tensor) -> nn.Parameter:
    """W e without the projection's bias, where it has one. Shape: (D,) -> (O,), float32."""
    weight = next(projection.parameters())
    inputs = torch.stack([encoding, torch.zeros_like(encoding)]).to(weight.device, weight.dtype)
    both = projection(inputs).float()
    return nn.Parameter(both[0] - both[1])


def _weight(projection: nn.Module, width: int) -> Tensor:
    """The projection's weight, measured through whatever wraps it. Shape: (O, D), float32."""
    weight = next(projection.parameters())
    inputs = torch.eye(width, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        return (projection(inputs) - projection(torch.zeros_like(inputs[:1]))).float().T.contiguous()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()
