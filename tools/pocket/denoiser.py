"""The UNet's shapes, Stable Diffusion's noise schedule, and what the UNet learns from."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.autoencoder import LATENT_CHANNELS
from tools.pocket.text import WIDTH as TEXT_WIDTH

# Stable Diffusion's schedule: scaled-linear betas, 1000 steps.
SCHEDULE = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}  # fmt: skip

# Shape -> diffusers' configuration. Both read the text at 16x16, where the blocks' first attention reads it
# too (only_cross_attention): self-attention over 256 cells would cost more than it gives at this size. With
# eight heads there, maps of one word's heads can differ by place, which lets one value vector a layer say
# different things at different places. attention_head_dim is the number of heads, as in Stable Diffusion 1.x.
SHAPES: dict[str, dict[str, Any]] = {
    # 16 cross-attentions, as many as Stable Diffusion 1.5 has: text at 16x16, 8x8 and in the middle
    "64-128-192": {
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (64, 128, 192), "layers_per_block": 2, "attention_head_dim": 8,
    },
    # 11 cross-attentions, text at 16x16 (on the way up), 8x8, 4x4 and in the middle: the first base's trunk
    "96-160-160": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D",) * 3,
        "block_out_channels": (96, 160, 160), "layers_per_block": 1, "attention_head_dim": (8, 4, 4),
    },
}  # fmt: skip
DEFAULT_SHAPE = "64-128-192"


def build_unet(shape: str = DEFAULT_SHAPE, **changes: Any) -> UNet2DConditionModel:
    """Stable Diffusion's UNet in small, of one of SHAPES, with `changes` to its configuration."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
        only_cross_attention=(True, False, False),
        **{**SHAPES[shape], **changes},
    )


@cache
def _sizes(shape: str) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: weight.shape for name, weight in build_unet(shape).state_dict().items()}


def shape_of(weights: dict[str, Tensor]) -> str:
    """Which of SHAPES these weights are of.

    Raises:
        ValueError: of none.
    """
    sizes = {name: weight.shape for name, weight in weights.items()}
    for shape in SHAPES:
        if sizes == _sizes(shape):
            return shape
    raise ValueError(f"These weights are of no known UNet shape ({', '.join(SHAPES)}).")


def unet_of(saved: dict[str, Any]) -> UNet2DConditionModel:
    """The UNet with the average of a checkpoint, by the configuration in it, else by its weights' shape."""
    weights = {**saved["master"], **saved["average"]}
    if "config" in saved:
        unet = UNet2DConditionModel.from_config(json.loads(saved["config"]))
    else:
        unet = build_unet(shape_of(weights))
    unet.load_state_dict(weights)
    return unet.eval()


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's schedule with v-prediction, for sampling."""
    return DDIMScheduler(
        **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing"
    )


def signal_shares(device: torch.device) -> Tensor:
    """Cumulative signal share (alpha bar) of each of the 1000 steps."""
    start, end = SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5  # type: ignore[operator]
    betas = torch.linspace(start, end, 1000, dtype=torch.float64).square()
    return torch.cumprod(1 - betas, 0).float().to(device)


def noised(clean: Tensor, noise: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and their v target, sqrt(a) eps - sqrt(1-a) x (Salimans and Ho 2022, section 4)."""
    share = share.view(-1, 1, 1, 1)
    root, rest = share.sqrt(), (1 - share).sqrt()
    return root * clean + rest * noise, root * noise - rest * clean


def step_weight(share: Tensor, cap: float = 2.0) -> Tensor:
    """Loss weight of a noise level: min(1, cap / (snr + 1)).

    As min-SNR (Hang et al. 2023) it holds back steps with little noise; but steps with much noise keep their
    full weight, where min-SNR's snr / (snr + 1) fades them out: they decide silhouettes, which a small model
    learns last.
    """
    return (cap * (1 - share)).clamp(max=1.0)


@cache
def _heights() -> np.ndarray:
    odds = step_weight(signal_shares(torch.device("cpu"))).double().numpy()
    return np.cumsum(odds) / odds.sum()


def draw_steps(n: int, rng: np.random.Generator) -> Tensor:
    """n noise levels drawn as often as they weigh, spread evenly over the batch and shuffled.

    Drawing by weight spends no computing on levels that hardly count.
    """
    levels = np.searchsorted(_heights(), (np.arange(n) + rng.random()) / n)
    return torch.from_numpy(rng.permutation(levels.clip(max=len(_heights()) - 1)))


class SplitAttention:
    """Attention whose text states come twice, (n, 2T, D): the first half for keys, the second for values.

    For training alone: the shipped UNet has the library's own processors.
    """

    def __init__(self, fused: bool = False) -> None:
        """`fused`: by the fused kernel, which is fast on a GPU and slow backwards on a CPU."""
        self.fused = fused

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """(n, L, C) -> (n, L, C), as the library's AttnProcessor."""
        if encoder_hidden_states is None:
            for_keys = for_values = hidden_states
        else:
            for_keys, for_values = encoder_hidden_states.chunk(2, dim=1)
        query, key, value = attn.to_q(hidden_states), attn.to_k(for_keys), attn.to_v(for_values)
        if self.fused:
            parts = [each.unflatten(2, (attn.heads, -1)).transpose(1, 2) for each in (query, key, value)]
            made = F.scaled_dot_product_attention(*parts, scale=attn.scale).transpose(1, 2).flatten(2)
        else:
            query, key, value = (attn.head_to_batch_dim(each) for each in (query, key, value))
            shares = (attn.scale * torch.bmm(query, key.transpose(1, 2))).softmax(-1)
            made = attn.batch_to_head_dim(torch.bmm(shares, value))
        return attn.to_out[1](attn.to_out[0](made))
