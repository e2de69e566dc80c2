"""The real denoisers, without memory for their weights: what is edited, and how large a concept is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    CosmosTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    PixArtTransformer2DModel,
    SanaTransformer2DModel,
    UNet2DConditionModel,
)

from perfusion_core.concept import Concept, ConceptMetadata, concept_bytes, concept_from_bytes
from perfusion_core.model.describe import cross_attentions, describe
from perfusion_core.model.inject import inject

SDXL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
KOLORS: dict[str, Any] = {
    **SDXL,
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": 5632,
}
PIXART_SIGMA: dict[str, Any] = {
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 28,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "sample_size": 128,
    "patch_size": 2,
    "use_additional_conditions": False,
}
COSMOS_2B: dict[str, Any] = {
    "num_attention_heads": 16,
    "rope_scale": (1.0, 4.0, 4.0),
    "extra_pos_embed_type": None,  # the rest is the default
}
BLOCKS = (128, 256, 512, 512)
SCHEDULER = SimpleNamespace(config=SimpleNamespace(prediction_type="epsilon"))


def parts(channels: int, blocks: tuple[int, ...], **modules: Any) -> Any:
    """A pipeline's parts, as much of them as `describe` looks at."""
    vae = SimpleNamespace(config=SimpleNamespace(latent_channels=channels, block_out_channels=blocks))
    return SimpleNamespace(vae=vae, scheduler=SCHEDULER, text_encoder=object(), **modules)


def true_parts(kind: str) -> Any:
    with torch.device("meta"):
        if kind == "stable-diffusion":  # the defaults are Stable Diffusion 1.5's but for these
            unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
            return parts(4, BLOCKS, unet=unet)
        if kind == "sdxl":
            return parts(4, BLOCKS, text_encoder_2=object(), unet=UNet2DConditionModel(**SDXL))
        if kind == "kolors":
            found = parts(4, BLOCKS, unet=UNet2DConditionModel(**KOLORS))
            found.text_encoder = type("ChatGLMModel", (), {})()
            return found
        if kind == "pixart":
            return parts(4, BLOCKS, transformer=PixArtTransformer2DModel(**PIXART_SIGMA))
        if kind == "cosmos":
            found = parts(16, BLOCKS, transformer=CosmosTransformer3DModel(**COSMOS_2B))
            found.vae = SimpleNamespace(config=SimpleNamespace(z_dim=16, dim_mult=(1, 2, 4, 4)))
            found.scheduler = FlowMatchEulerDiscreteScheduler()
            return found
        return parts(32, (1,) * 6, transformer=SanaTransformer2DModel())  # the defaults are Sana 1.6B's


# family: attentions, D, the widths of the embeddings, the sum of the values' widths, image size, thousands of
# bytes of a concept with locked keys in float32 and in the compact form, as docs/bases.md says them
TRUE = {
    "sdxl": (70, 2048, (768, 1280), 83_200, 1024, 363, 184),
    "kolors": (70, 2048, (4096,), 83_200, 1024, 371, 188),
    "pixart": (28, 1152, (4096,), 32_256, 1024, 157, 80),
    "sana": (20, 2240, (2304,), 44_800, 1024, 209, 105),
    "cosmos": (28, 1024, (1024,), 57_344, 1024, 244, 123),
}


@pytest.mark.parametrize("kind", list(TRUE))
def test_the_real_model_is_described_edited_and_left(kind: str) -> None:
    count, width, _, total, size, _, _ = TRUE[kind]
    pipe = true_parts(kind)
    found = describe(pipe)
    assert (found.kind, len(found.attention_paths), found.text_width) == (kind, count, width)
    assert sum(found.output_widths.values()) == total
    assert found.image_size == size
    assert all(path.endswith("attn2") for path in found.attention_paths)
    denoiser = getattr(pipe, found.family.denoiser)
    shown = repr(denoiser)

    class Fitting:
        name = "biscuit"
        target_input = superclass_encoding = torch.ones(width)
        values = {path: torch.ones(w) for path, w in found.output_widths.items()}  # noqa: RUF012
        keys = None

    injection = inject(denoiser, [Fitting()], torch.eye(width), reader=found.family.reader)
    assert len(injection.projections) == 2 * count
    injection.eject()
    assert repr(denoiser) == shown
    assert not denoiser._forward_pre_hooks


@pytest.mark.parametrize("kind", list(TRUE))
def test_the_size_of_a_concept(kind: str) -> None:
    _, width, embeddings, _, _, full, compact = TRUE[kind]
    found = describe(true_parts(kind))
    generator = torch.Generator().manual_seed(0)
    words = [torch.randn(size, generator=generator) for size in embeddings]
    encoders = {"text_encoder": "aa" * 16, "text_encoder_2": "bb" * 16}
    metadata = ConceptMetadata(
        format_version=2, name="biscuit", superclass="dog", base="a base", base_fingerprint="aa" * 16,
        family=kind, encoders=dict(list(encoders.items())[: len(words)]), covariance_fingerprint="bb" * 16,
        recipe={f"a_real_setting_{i}": 0.0125 * i for i in range(24)}, scores={},
        bias={"local": 0.68}, temperature=0.15, removal="gated", token_similarity=1.0,
        created_at="2026-01-01T00:00:00+00:00", created_by="a test",
    )  # fmt: skip
    concept = Concept(
        metadata,
        torch.randn(width, generator=generator),
        words[0],
        torch.randn(width, generator=generator),
        {path: torch.randn(w, generator=generator) for path, w in found.output_widths.items()},
        further_embeddings={"text_encoder_2": words[1]} if words[1:] else {},
    )
    content = concept_bytes(concept)
    assert len(content) / 1000 == pytest.approx(full, abs=1)
    assert len(concept_bytes(concept, "float16")) / 1000 == pytest.approx(compact, abs=1)
    assert concept_from_bytes(content).content_hash == concept.content_hash


def test_the_refiner_is_refused_by_name() -> None:
    from perfusion_core.errors import BaseModelError
    from perfusion_core.model.families.registry import family_of, family_of_index

    with torch.device("meta"):
        unet = UNet2DConditionModel(**{**SDXL, "cross_attention_dim": 1280})
    refiner = parts(4, BLOCKS, text_encoder_2=object(), unet=unet)
    refiner.text_encoder = None
    with pytest.raises(BaseModelError, match="refines images of another model"):
        family_of(refiner, "the refiner")
    index = {
        "_class_name": "StableDiffusionXLImg2ImgPipeline",
        "text_encoder": [None, None],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    }
    with pytest.raises(BaseModelError, match=r"sd_xl_refiner.*refines images of another model"):
        family_of_index(index, "sd_xl_refiner")


def test_attentions_of_transformers_are_those_that_read_the_text() -> None:
    paths = list(cross_attentions(true_parts("pixart").transformer))
    assert paths == [f"transformer_blocks.{k}.attn2" for k in range(28)]
