"""Names and shapes of a Stable Diffusion or SDXL checkpoint in its original format, at any size.

Written from the layout of the original model: what the published .safetensors files hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

Shapes = dict[str, tuple[int, ...]]


@dataclass
class Layout:
    """Sizes; the defaults are those of Stable Diffusion 1.x. `second` is the layout of 2.x, `xl` of SDXL.

    SDXL's two encoders have `text_width` and `second_width`; `conditions` is the width of the pooled text and
    the six numbers that its denoiser is given beside the time.
    """

    channels: int = 320
    text_width: int = 768
    text_layers: int = 12
    text_inner: int = 3072
    vocabulary: int = 49_408
    vae_channels: int = 128
    second: bool = False
    xl: bool = False
    second_width: int = 1280
    conditions: int = 2816
    shapes: Shapes = field(default_factory=dict)

    def build(self, fill: Callable[[tuple[int, ...]], torch.Tensor]) -> dict[str, torch.Tensor]:
        """The whole checkpoint, its tensors made by `fill(shape)`."""
        self.shapes = {}
        self._unet("model.diffusion_model.")
        self._autoencoder("first_stage_model.")
        if self.xl:
            self._clip("conditioner.embedders.0.", self.text_width)
            self._open_clip("conditioner.embedders.1.", self.second_width)
            self.shapes["conditioner.embedders.1.model.logit_scale"] = ()
        else:
            (self._open_clip if self.second else self._clip)("cond_stage_model.", self.text_width)
        return {name: fill(shape) for name, shape in self.shapes.items()}

    @property
    def _levels(self) -> tuple[tuple[int, int], ...]:
        """Each level's multiple of the channels, and how many transformer blocks an attention there has."""
        return ((1, 0), (2, 2), (4, 10)) if self.xl else ((1, 1), (2, 1), (4, 1), (4, 0))

    @property
    def read_width(self) -> int:
        """The width of the text that the denoiser reads."""
        return self.text_width + self.second_width if self.xl else self.text_width

    def _linear(self, name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        self.shapes[f"{name}.weight"] = (outputs, inputs)
        if bias:
            self.shapes[f"{name}.bias"] = (outputs,)

    def _conv(self, name: str, inputs: int, outputs: int, size: int = 3) -> None:
        self.shapes[f"{name}.weight"] = (outputs, inputs, size, size)
        self.shapes[f"{name}.bias"] = (outputs,)

    def _norm(self, name: str, width: int) -> None:
        self.shapes[f"{name}.weight"] = self.shapes[f"{name}.bias"] = (width,)

    def _unet(self, at: str) -> None:
        base, time = self.channels, 4 * self.channels
        self._linear(f"{at}time_embed.0", base, time)
        self._linear(f"{at}time_embed.2", time, time)
        self._conv(f"{at}input_blocks.0.0", 4, base)
        if self.xl:
            self._linear(f"{at}label_emb.0.0", self.conditions, time)
            self._linear(f"{at}label_emb.0.2", time, time)
        levels, skips, block = self._levels, [base], 1
        width, last = base, len(levels) - 1
        for level, (multiple, depth) in enumerate(levels):
            for _ in range(2):
                self._residual(f"{at}input_blocks.{block}.0", width, multiple * base)
                width = multiple * base
                self._transformer(f"{at}input_blocks.{block}.1", width, depth)
                skips.append(width)
                block += 1
            if level < last:
                self._conv(f"{at}input_blocks.{block}.0.op", width, width)
                skips.append(width)
                block += 1
        self._residual(f"{at}middle_block.0", width, width)
        self._transformer(f"{at}middle_block.1", width, levels[last][1] or 1)
        self._residual(f"{at}middle_block.2", width, width)
        block = 0
        for level in reversed(range(last + 1)):
            multiple, depth = levels[level]
            for turn in range(3):
                self._residual(f"{at}output_blocks.{block}.0", width + skips.pop(), multiple * base)
                width = multiple * base
                self._transformer(f"{at}output_blocks.{block}.1", width, depth)
                if level and turn == 2:
                    self._conv(f"{at}output_blocks.{block}.{2 if depth else 1}.conv", width, width)
                block += 1
        self._norm(f"{at}out.0", base)
        self._conv(f"{at}out.2", base, 4)

    def _residual(self, at: str, inputs: int, outputs: int) -> None:
        self._norm(f"{at}.in_layers.0", inputs)
        self._conv(f"{at}.in_layers.2", inputs, outputs)
        self._linear(f"{at}.emb_layers.1", 4 * self.channels, outputs)
        self._norm(f"{at}.out_layers.0", outputs)
        self._conv(f"{at}.out_layers.3", outputs, outputs)
        if inputs != outputs:
            self._conv(f"{at}.skip_connection", inputs, outputs, 1)

    def _transformer(self, at: str, width: int, depth: int) -> None:
        """An attention of `depth` transformer blocks; nothing for 0."""
        if not depth:
            return
        self._norm(f"{at}.norm", width)
        for ends in ("proj_in", "proj_out"):
            if self.second or self.xl:
                self._linear(f"{at}.{ends}", width, width)
            else:
                self._conv(f"{at}.{ends}", width, width, 1)
        for block in range(depth):
            self._transformer_block(f"{at}.transformer_blocks.{block}", width)

    def _transformer_block(self, inner: str, width: int) -> None:
        for attention, read in (("attn1", width), ("attn2", self.read_width)):
            self._linear(f"{inner}.{attention}.to_q", width, width, bias=False)
            self._linear(f"{inner}.{attention}.to_k", read, width, bias=False)
            self._linear(f"{inner}.{attention}.to_v", read, width, bias=False)
            self._linear(f"{inner}.{attention}.to_out.0", width, width)
        self._linear(f"{inner}.ff.net.0.proj", width, 8 * width)
        self._linear(f"{inner}.ff.net.2", 4 * width, width)
        for norm in ("norm1", "norm2", "norm3"):
            self._norm(f"{inner}.{norm}", width)

    def _autoencoder(self, at: str) -> None:
        widths = [self.vae_channels * times for times in (1, 2, 4, 4)]
        self._conv(f"{at}encoder.conv_in", 3, widths[0])
        width = widths[0]
        for level, wanted in enumerate(widths):
            for block in range(2):
                self._vae_residual(f"{at}encoder.down.{level}.block.{block}", width, wanted)
                width = wanted
            if level < 3:
                self._conv(f"{at}encoder.down.{level}.downsample.conv", width, width)
        self._vae_ends(f"{at}encoder", width, width, 8)
        self._conv(f"{at}decoder.conv_in", 4, width)
        for level in (3, 2, 1, 0):
            for block in range(3):
                self._vae_residual(f"{at}decoder.up.{level}.block.{block}", width, widths[level])
                width = widths[level]
            if level:
                self._conv(f"{at}decoder.up.{level}.upsample.conv", width, width)
        self._vae_ends(f"{at}decoder", widths[3], width, 3)
        self._conv(f"{at}quant_conv", 8, 8, 1)
        self._conv(f"{at}post_quant_conv", 4, 4, 1)

    def _vae_residual(self, at: str, inputs: int, outputs: int) -> None:
        self._norm(f"{at}.norm1", inputs)
        self._conv(f"{at}.conv1", inputs, outputs)
        self._norm(f"{at}.norm2", outputs)
        self._conv(f"{at}.conv2", outputs, outputs)
        if inputs != outputs:
            self._conv(f"{at}.nin_shortcut", inputs, outputs, 1)

    def _vae_ends(self, at: str, middle: int, last: int, outputs: int) -> None:
        self._vae_residual(f"{at}.mid.block_1", middle, middle)
        self._norm(f"{at}.mid.attn_1.norm", middle)
        for part in ("q", "k", "v", "proj_out"):
            self._conv(f"{at}.mid.attn_1.{part}", middle, middle, 1)
        self._vae_residual(f"{at}.mid.block_2", middle, middle)
        self._norm(f"{at}.norm_out", last)
        self._conv(f"{at}.conv_out", last, outputs)

    def _clip(self, at: str, width: int) -> None:
        at = f"{at}transformer.text_model."
        self.shapes[f"{at}embeddings.token_embedding.weight"] = (self.vocabulary, width)
        self.shapes[f"{at}embeddings.position_embedding.weight"] = (77, width)
        for layer in range(self.text_layers):
            here = f"{at}encoder.layers.{layer}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self._linear(f"{here}.self_attn.{part}", width, width)
            self._linear(f"{here}.mlp.fc1", width, self.text_inner)
            self._linear(f"{here}.mlp.fc2", self.text_inner, width)
            self._norm(f"{here}.layer_norm1", width)
            self._norm(f"{here}.layer_norm2", width)
        self._norm(f"{at}final_layer_norm", width)

    def _open_clip(self, at: str, width: int) -> None:
        at = f"{at}model."
        self.shapes[f"{at}token_embedding.weight"] = (self.vocabulary, width)
        self.shapes[f"{at}positional_embedding"] = (77, width)
        self.shapes[f"{at}text_projection"] = (width, width)
        # The last one is not used by Stable Diffusion 2.x.
        for layer in range(self.text_layers + (0 if self.xl else 1)):
            here = f"{at}transformer.resblocks.{layer}"
            self.shapes[f"{here}.attn.in_proj_weight"] = (3 * width, width)
            self.shapes[f"{here}.attn.in_proj_bias"] = (3 * width,)
            self._linear(f"{here}.attn.out_proj", width, width)
            self._linear(f"{here}.mlp.c_fc", width, self.text_inner)
            self._linear(f"{here}.mlp.c_proj", self.text_inner, width)
            self._norm(f"{here}.ln_1", width)
            self._norm(f"{here}.ln_2", width)
        self._norm(f"{at}ln_final", width)
