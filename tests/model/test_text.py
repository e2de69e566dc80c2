from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from perfusion_core.errors import PromptError
from perfusion_core.model.text import PromptEncoder, superclass_tokens


@dataclass
class Words:
    embedding: torch.Tensor
    superclass: str = "dog"

    @property
    def embeddings(self) -> dict[str, torch.Tensor]:
        return {"text_encoder": self.embedding}


@pytest.fixture
def encoder(tiny_pipe: Any) -> PromptEncoder:
    return PromptEncoder(tiny_pipe)


@pytest.fixture
def biscuit() -> Words:
    return Words(torch.randn(32, generator=torch.Generator().manual_seed(1)))


def test_without_placeholders_the_encoding_is_the_pipelines_own(
    tiny_pipe: Any, encoder: PromptEncoder
) -> None:
    theirs, _ = tiny_pipe.encode_prompt("a photo of a dog, in snow", "cpu", 1, False)
    ours = encoder.encode(["a photo of a dog, in snow"], {})
    assert torch.equal(ours.encoding, theirs)
    assert ours.superclass_encoding is ours.encoding
    assert ours.truncated == [""]


def test_an_embedding_equal_to_a_words_gives_that_words_encoding(encoder: PromptEncoder) -> None:
    dog = Words(encoder.superclass_embedding("dog"))
    found = encoder.encode(["a photo of a <biscuit> on the beach"], {"biscuit": dog})
    plain = encoder.encode(["a photo of a dog on the beach"], {})
    torch.testing.assert_close(found.encoding, plain.encoding)
    torch.testing.assert_close(found.superclass_encoding, plain.encoding)


def test_the_superclass_encoding_reads_the_superclass_where_the_concept_stands(
    encoder: PromptEncoder, biscuit: Words
) -> None:
    found = encoder.encode(["a photo of a <biscuit> on the beach"], {"biscuit": biscuit})
    plain = encoder.encode(["a photo of a dog on the beach"], {})
    torch.testing.assert_close(found.superclass_encoding, plain.encoding)
    assert not torch.allclose(found.encoding, plain.encoding)


@pytest.mark.parametrize(
    ("prompt", "positions"),
    [
        ("<biscuit>", [1]),
        ("<biscuit> on the beach", [1]),
        ("a photo of a <biscuit>", [5]),
        ("a <BISCUIT>, a <Biscuit>.", [2, 5]),
        ("(<biscuit>)", [2]),
        ("red<biscuit>hat", [2]),
        ("my <biscuit>'s hat", [2]),
        ("a poodle and <biscuit:0.4>", None),
    ],
)
def test_a_placeholder_may_stand_anywhere(
    encoder: PromptEncoder, biscuit: Words, prompt: str, positions: list[int] | None
) -> None:
    found = encoder.encode([prompt], {"biscuit": biscuit})
    at = found.positions[0]["biscuit"]
    if positions is None:  # a word of several tokens comes before it
        assert at[0] > len(prompt.split())
    else:
        assert at == positions
    other = encoder.encode([prompt], {"biscuit": Words(-biscuit.embedding)})
    differs = (found.encoding - other.encoding).abs().amax(dim=(0, 2)) > 1e-6
    assert differs.nonzero().flatten().tolist() == list(range(at[0], encoder.length))  # causal: from there on


def test_several_concepts_stand_in_one_prompt(encoder: PromptEncoder, biscuit: Words) -> None:
    mug = Words(torch.ones(32), "cup")
    found = encoder.encode(["<mug:0.55> next to <biscuit> and <mug>"], {"biscuit": biscuit, "mug": mug})
    assert found.positions == [{"mug": [1, 6], "biscuit": [4]}]
    assert found.bias_overrides == [{"mug": 0.55}]


def test_prompts_of_one_batch_keep_their_own_concepts(encoder: PromptEncoder, biscuit: Words) -> None:
    prompts = ["a <biscuit>", "a dog", "a <biscuit>", "in the snow a <biscuit:0.5>"]
    found = encoder.encode(prompts, {"biscuit": biscuit})
    assert [p.get("biscuit") for p in found.positions] == [[2], None, [2], [5]]
    assert torch.equal(found.encoding[0], found.encoding[2])
    torch.testing.assert_close(
        found.encoding[3], encoder.encode(prompts[3:], {"biscuit": biscuit}).encoding[0]
    )


def test_equal_prompts_are_run_once(encoder: PromptEncoder, biscuit: Words) -> None:
    rows: list[int] = []
    handle = encoder.text_encoder.encoder.layers[0].register_forward_hook(
        lambda _m, _i, output: rows.append(len(output))
    )
    encoder.encode(["a <biscuit>"] * 5 + ["my <biscuit>"], {"biscuit": biscuit}, superclass=False)
    handle.remove()
    assert rows == [2]


def test_a_superclass_of_several_tokens_takes_one_position(encoder: PromptEncoder, biscuit: Words) -> None:
    long = Words(biscuit.embedding, "poodle")
    assert len(superclass_tokens(encoder.tokenizer, "poodle")) > 1
    found = encoder.encode(["a photo of a <biscuit> on the beach"], {"biscuit": long})
    assert found.positions == [{"biscuit": [5]}]
    table = encoder.text_encoder.get_input_embeddings().weight
    ids = encoder.tokenizer("poodle", add_special_tokens=False).input_ids
    torch.testing.assert_close(encoder.superclass_embedding("poodle"), table[ids].mean(dim=0))
    assert found.superclass_encoding.shape == found.encoding.shape


def test_words_past_the_limit_are_named(encoder: PromptEncoder, biscuit: Words) -> None:
    prompt = "a <biscuit> " + "on the " * 11 + "red hat"
    found = encoder.encode([prompt, "a <biscuit>"], {"biscuit": biscuit})
    assert found.truncated == ["on the red hat", ""]


def test_a_concept_past_the_limit_is_refused(encoder: PromptEncoder, biscuit: Words) -> None:
    with pytest.raises(PromptError, match=r"<biscuit> stands past the 22 tokens"):
        encoder.encode(["on the " * 11 + "<biscuit>"], {"biscuit": biscuit})
    encoder.encode(["on the " * 10 + "my <biscuit>"], {"biscuit": biscuit})


def test_an_unknown_placeholder_names_the_known_ones(encoder: PromptEncoder, biscuit: Words) -> None:
    with pytest.raises(PromptError, match=r"<bisquit> is not a known concept. Known here: <biscuit>"):
        encoder.encode(["a <bisquit>"], {"biscuit": biscuit})


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(encoder: PromptEncoder, prompt: str) -> None:
    with pytest.raises(PromptError, match="empty"):
        encoder.encode([prompt], {})
    assert encoder.encode([prompt], {}, allow_empty=True).encoding.shape == (1, 24, 32)


def test_one_concept_has_one_bias_in_a_prompt(encoder: PromptEncoder, biscuit: Words) -> None:
    with pytest.raises(PromptError, match="two different numbers"):
        encoder.encode(["<biscuit:0.5> and <biscuit:0.6>"], {"biscuit": biscuit})


def test_an_empty_superclass_is_refused(encoder: PromptEncoder) -> None:
    with pytest.raises(PromptError, match="superclass is empty"):
        superclass_tokens(encoder.tokenizer, " ")


def test_gradients_reach_the_embedding_and_nothing_else(encoder: PromptEncoder) -> None:
    embedding = encoder.superclass_embedding("dog").clone().requires_grad_()
    found = encoder.encode(["a <biscuit>", "my <biscuit> in the snow"], {"biscuit": Words(embedding)})
    found.encoding[:, -1].square().sum().backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().sum() > 0
    assert not found.superclass_encoding.requires_grad
    assert all(p.grad is None for p in encoder.text_encoder.parameters())


def test_encoding_leaves_tokenizer_and_text_encoder_as_they_were(
    encoder: PromptEncoder, biscuit: Words
) -> None:
    size, weights = len(encoder.tokenizer), [p.clone() for p in encoder.text_encoder.parameters()]
    encoder.encode(["a <biscuit>"], {"biscuit": biscuit})
    with pytest.raises(PromptError):
        encoder.encode(["a <nobody>"], {"biscuit": biscuit})
    assert len(encoder.tokenizer) == size
    assert not encoder.text_encoder.get_input_embeddings()._forward_hooks
    assert all(torch.equal(a, b) for a, b in zip(weights, encoder.text_encoder.parameters(), strict=True))


def test_skipping_the_last_layer_matches_a_shorter_encoder(encoder: PromptEncoder, biscuit: Words) -> None:
    found = encoder.encode(["a <biscuit>"], {"biscuit": biscuit}, clip_skip=1)
    encoder.text_encoder.encoder.layers = encoder.text_encoder.encoder.layers[:-1]
    torch.testing.assert_close(found.encoding, encoder.encode(["a <biscuit>"], {"biscuit": biscuit}).encoding)


def test_a_textual_inversion_the_user_loaded_stays_a_token(tiny_pipe: Any, biscuit: Words) -> None:
    tiny_pipe.load_textual_inversion({"<my-toy>": torch.ones(32)}, token="<my-toy>")
    encoder = PromptEncoder(tiny_pipe)
    found = encoder.encode(["a <my-toy> and <biscuit>"], {"biscuit": biscuit})
    assert found.positions == [{"biscuit": [4]}]
