"""A model folder with random bf16 weights in the shape of a common model, and a tokenizer that
knows every id: for what needs a checkpoint but not its sense (loading, serving, a peer beside).

    python3 random_model.py FOLDER 8b|1b TOKENIZER_FOLDER

The tokenizer is TOKENIZER_FOLDER's with made-up words up to the vocabulary. Needs numpy only.
"""
import json
import os
import shutil
import sys

import numpy

SHAPES = {
    "8b": dict(vocab_size=128256, hidden_size=4096, intermediate_size=14336,
               num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
               max_position_embeddings=8192, rope_theta=500000.0),
    "1b": dict(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
               num_attention_heads=32, num_key_value_heads=4, head_dim=64,
               max_position_embeddings=4096, rope_theta=10000.0),
}
PIECE_WORDS = 1 << 27


def tensors(c):
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    q = c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden)
    for layer in range(c["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", (hidden,)
        yield name + "self_attn.q_proj.weight", (q, hidden)
        yield name + "self_attn.k_proj.weight", (kv, hidden)
        yield name + "self_attn.v_proj.weight", (kv, hidden)
        yield name + "self_attn.o_proj.weight", (hidden, q)
        yield name + "post_attention_layernorm.weight", (hidden,)
        yield name + "mlp.gate_proj.weight", (inner, hidden)
        yield name + "mlp.up_proj.weight", (inner, hidden)
        yield name + "mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (c["vocab_size"], hidden)


def write_weights(folder, config):
    header, at = {}, 0
    for name, shape in tensors(config):
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # Random sign and mantissa under one exponent: magnitudes of 1/128 to 1/64. Norms are 1.
    words = numpy.random.default_rng(1).integers(0, 1 << 16, PIECE_WORDS, dtype=numpy.uint16)
    words = (words & 0x807F) | 0x3C00
    with open(os.path.join(folder, "model.safetensors"), "wb", buffering=0) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        begin = 0
        for name, shape in tensors(config):
            count = int(numpy.prod(shape))
            if len(shape) == 1:
                file.write(numpy.full(count, 0x3F80, numpy.uint16).tobytes())
                continue
            while count > 0:
                piece = words[begin:begin + count]
                file.write(memoryview(piece).cast("B"))
                count -= len(piece)
                begin = (begin + len(piece) + 4099) % PIECE_WORDS


def write_tokenizer(folder, source, vocab):
    for name in ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"]:
        if os.path.exists(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), folder)
    with open(os.path.join(source, "tokenizer.json")) as file:
        tokenizer = json.load(file)
    words = tokenizer["model"]["vocab"]
    for i in range(max(words.values()) + 1, vocab):
        words[f"\u0120made{i}"] = i
    with open(os.path.join(folder, "tokenizer.json"), "w") as file:
        json.dump(tokenizer, file)


def main():
    folder, shape, source = sys.argv[1:]
    config = SHAPES[shape]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(source, "config.json")) as file:
        ids = {key: value for key, value in json.load(file).items() if key.endswith("_token_id")}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(dict(config, **ids, architectures=["LlamaForCausalLM"], model_type="llama",
                       hidden_act="silu", rms_norm_eps=1e-5, tie_word_embeddings=False,
                       torch_dtype="bfloat16"), file)
    write_tokenizer(folder, source, config["vocab_size"])
    write_weights(folder, config)


main()
