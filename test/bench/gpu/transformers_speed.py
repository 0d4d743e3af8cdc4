"""What torch and transformers do with the engine benchmark's work on the same device: random
weights, greedy, bf16, transformers' own generate() with its default attention and cache.

    python3 transformers_speed.py 8b|1b

One JSON object a line, keys as engine_bench's.
"""
import json
import sys
import time

import torch
import transformers

SHAPES = {
    "8b": dict(vocab_size=128256, hidden_size=4096, intermediate_size=14336,
               num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
               max_position_embeddings=8192),
    "1b": dict(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
               num_attention_heads=32, num_key_value_heads=4, head_dim=64,
               max_position_embeddings=4096),
}
# (name, sequences, prompt tokens, output tokens); outputs are fewer than the engine's, the rate
# does not depend on it.
WORKS = [("single", 1, 128, 64), ("crowd256", 256, 100, 50), ("prefill", 32, 2048, 1)]


def timed(run):
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main():
    shape = sys.argv[1]
    config = transformers.LlamaConfig(
        **SHAPES[shape], pad_token_id=0, bos_token_id=1, eos_token_id=None)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for name, sequences, prompt, outputs in WORKS:
        ids = torch.randint(3, config.vocab_size, (sequences, prompt), device="cuda")
        options = dict(attention_mask=torch.ones_like(ids), max_new_tokens=outputs,
                       min_new_tokens=outputs, do_sample=False)
        with torch.inference_mode():
            if outputs == 1:
                # Four prompts at a time: logits of all would not fit.
                def run():
                    for part in ids.split(4):
                        model(part, logits_to_keep=1)
            else:
                def run():
                    model.generate(ids, **options)
            run()
            seconds = timed(run)
        print(json.dumps({
            "model": shape, "format": "bf16", "work": name, "seconds": round(seconds, 4),
            "out_per_second": round(sequences * outputs / seconds, 1),
            "prompt_per_second": round(sequences * prompt / seconds, 1),
            "transformers": transformers.__version__, "torch": torch.__version__}), flush=True)


main()
