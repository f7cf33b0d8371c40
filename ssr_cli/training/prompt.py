"""The embedding of the empty prompt, made once and kept with the adapter: using it needs no text encoder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssr_cli.catalogue import Entry, WeightsFile
from ssr_cli.errors import WeightsError
from ssr_cli.fetch import fetch

_FILES = (
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
)


def empty_prompt(entry: Entry) -> Tensor:
    """Embed the empty prompt with a backbone's own tokenizer and text encoder.

    Args:
        entry: of the backbone; its text encoder is fetched from the same places.

    Returns:
        (1, n, context) float32.

    Raises:
        WeightsError: if they cannot be had or used.
    """
    files = fetch(replace(entry, files=tuple(WeightsFile(name) for name in _FILES)))
    try:
        from safetensors.torch import load_file
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    except ImportError as error:
        raise WeightsError(
            "Training an adapter needs transformers.", 'pip install "ssr-cli[depth]" brings it.'
        ) from error
    try:
        config = json.loads(files["text_encoder/config.json"].read_text(encoding="utf-8"))
        encoder: Any = CLIPTextModel(CLIPTextConfig.from_dict(config))
        # position_ids is a constant that older files carry
        tensors = load_file(files["text_encoder/model.safetensors"])
        encoder.load_state_dict({k: v.float() for k, v in tensors.items() if not k.endswith("position_ids")})
        with tempfile.TemporaryDirectory() as together:
            for name, path in files.items():
                if name.startswith("tokenizer/"):
                    shutil.copy(path, Path(together) / Path(name).name)
            tokenizer: Any = CLIPTokenizer.from_pretrained(together)
            length = encoder.config.max_position_embeddings
            ids = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise WeightsError(
            f"The text encoder of {entry.id} cannot be used: {str(error).splitlines()[0]}.",
            "Choose another --backbone.",
        ) from error
    with torch.inference_mode():
        embedding: Tensor = encoder.eval()(ids).last_hidden_state
    return embedding.clone()
