"""A pipeline of Kolors' true classes, small enough for tests, with random but fixed weights."""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from diffusers import KolorsPipeline
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

from tests.tiny_model import WORDS, tiny_pipeline, tiny_sdxl_unet, tiny_vae

ROLES = 16  # ids behind the vocabulary, for marks and roles


@cache
def _vocabulary() -> str:
    """A SentencePiece file with WORDS as single pieces and any other text as letters or bytes."""
    written = io.BytesIO()
    letters = " ".join(chr(code) for code in range(33, 127))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS), letters]),
        model_writer=written,
        model_type="bpe",
        vocab_size=400,
        hard_vocab_limit=False,
        user_defined_symbols=[f"▁{word}" for word in WORDS],
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        byte_fallback=True,
        minloglevel=2,
    )
    folder = Path(tempfile.mkdtemp(prefix="kolors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    return str(folder / "tokenizer.model")


def _text_encoder(tokenizer: ChatGLMTokenizer) -> ChatGLMModel:
    config = ChatGLMConfig(
        num_layers=3,
        padded_vocab_size=len(tokenizer) + ROLES,
        hidden_size=40,
        ffn_hidden_size=64,
        kv_channels=10,
        num_attention_heads=4,
        multi_query_attention=True,
        multi_query_group_num=2,
        seq_length=512,
        rmsnorm=True,
        add_bias_linear=False,
        add_qkv_bias=True,
        original_rope=True,
        use_cache=False,
    )
    encoder = ChatGLMModel(config, empty_init=False)
    for name, weight in encoder.named_parameters():  # the class leaves its norms as memory was
        torch.nn.init.ones_(weight) if "norm" in name else torch.nn.init.normal_(weight, std=0.2)
    encoder.get_input_embeddings().weight.data.mul_(5)
    return encoder


def kolors_pipeline() -> KolorsPipeline:
    """64×64 images from 8×8 latents; a language model of width 40, read at width 24."""
    tokenizer = ChatGLMTokenizer(_vocabulary())
    unet = tiny_sdxl_unet(
        cross_attention_dim=24,
        encoder_hid_dim=40,
        encoder_hid_dim_type="text_proj",
        projection_class_embeddings_input_dim=6 * 8 + 40,
    )
    parts: dict[str, Any] = {"text_encoder": _text_encoder(tokenizer), "tokenizer": tokenizer, "unet": unet}
    return KolorsPipeline(vae=tiny_vae(), scheduler=tiny_pipeline().scheduler, **parts)
