"""A Stable Diffusion backbone of real diffusers and transformers classes, tiny and random, as a folder of files."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

UNET = {
    "block_out_channels": [16, 32],
    "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 16,
    "attention_head_dim": 8,
    "norm_num_groups": 8,
    "sample_size": 16,
}
VAE = {
    "block_out_channels": [8, 8, 8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "sample_size": 64,
}
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
TEXT = {
    "vocab_size": 3,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
FILES = (
    "unet/config.json",
    "unet/model.safetensors",
    "vae/config.json",
    "vae/model.safetensors",
    "scheduler/scheduler_config.json",
)


def write_backbone(folder: Path, prediction: str = "epsilon") -> None:
    """Write all files of a backbone, text encoder included."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    parts = {
        "unet": (UNet2DConditionModel.from_config(UNET), UNET),
        "vae": (AutoencoderKL.from_config(VAE), VAE),
        "text_encoder": (CLIPTextModel(CLIPTextConfig.from_dict(TEXT)), TEXT),
    }
    for name, (model, config) in parts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        save_file(state, folder / name / "model.safetensors")
    for name, content in {
        "scheduler/scheduler_config.json": {**SCHEDULER, "prediction_type": prediction},
        "tokenizer/vocab.json": {"<|startoftext|>": 0, "<|endoftext|>": 1, "!": 2},
        "tokenizer/tokenizer_config.json": {
            "model_max_length": 77,
            "pad_token": "!",
            "tokenizer_class": "CLIPTokenizer",
        },
        "tokenizer/special_tokens_map.json": {
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "!",
        },
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")


def write_table(table: Path, folder: Path) -> None:
    """A table whose backbone `tiny-sd` lies in a folder."""
    files = ", ".join(f'{{ name = "{name}" }}' for name in FILES)
    table.write_text(
        '[models.tiny-sd]\nkind = "sd-backbone"\nlicence = "none"\nrepo = "nobody/nothing"\n'
        f'files = [{files}]\nmirrors = [{{ folder = "{folder}" }}]\n'
    )
