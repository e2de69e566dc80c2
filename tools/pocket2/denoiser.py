"""The UNet's shape, and the attention that lets keys and values read different states while it trains."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from tools.pocket.autoencoder import LATENT_CHANNELS
from tools.pocket2.text import WIDTH as TEXT_WIDTH

WIDTHS = (64, 128, 192)
HEADS = 8


def build_unet(widths: tuple[int, ...] = WIDTHS) -> UNet2DConditionModel:
    """Stable Diffusion's UNet in small, with 16 cross-attentions.

    Text is read at 16x16, 8x8 and in the middle. At 16x16 the blocks' first attention reads the text too
    (only_cross_attention): self-attention over 256 cells would cost more than it gives at this size. With
    eight heads, maps of one word's heads can differ by place, which lets one value vector a layer say
    different things at different places.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=widths,
        layers_per_block=2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,  # as in Stable Diffusion 1.x, diffusers reads this as the number of heads
        norm_num_groups=16,
        only_cross_attention=(True, False, False),
    )


class SplitAttention:
    """Attention whose text states come twice, (n, 2T, D): the first half for keys, the second for values.

    Written out, since the fused kernel is slow backwards on a CPU. For training alone: the shipped UNet has
    the library's own processors.
    """

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
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(for_keys))
        value = attn.head_to_batch_dim(attn.to_v(for_values))
        shares = (attn.scale * torch.bmm(query, key.transpose(1, 2))).softmax(-1)
        made = attn.batch_to_head_dim(torch.bmm(shares, value))
        return attn.to_out[1](attn.to_out[0](made))
