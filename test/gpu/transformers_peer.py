"""Tiny random models of each family: the device's engine against transformers in float32.

    python3 transformers_peer.py DEVICE_LOGITS_PROGRAM

Models are made here, stored as bf16, and run by both from the same file. Prints one line a model,
and ends with exit code 1 where one is off by more than bf16 activations explain.
"""
import math
import subprocess
import sys
import tempfile

import torch
import transformers

# Of the deviation of a position's logits: what some 16 roundings to bf16 add up to, twice.
WORST, MEAN = 0.06, 0.008
COMMON = dict(
    vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
    max_position_embeddings=1024, pad_token_id=None, bos_token_id=1, eos_token_id=2,
)


def families():
    llama3 = dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64, rope_theta=10000.0,
    )
    t = transformers
    yield "llama, 4 heads a group", t.LlamaConfig(
        **COMMON, num_attention_heads=8, num_key_value_heads=2, head_dim=64)
    yield "llama, tied, llama3 rope", t.LlamaConfig(
        **COMMON, num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True,
        rope_scaling=llama3)
    yield "mistral", t.MistralConfig(
        **COMMON, num_attention_heads=6, num_key_value_heads=2, head_dim=128, sliding_window=None)
    yield "qwen2, 7 heads a group", t.Qwen2Config(
        **COMMON, num_attention_heads=14, num_key_value_heads=2, head_dim=64)
    yield "qwen3", t.Qwen3Config(
        **COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=128)


def make(config, folder):
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn(parameter.shape, generator=generator))
            elif parameter.dim() == 1:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
            else:
                scale = 1.0 if "embed" in name else 1.0 / math.sqrt(parameter.shape[1])
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    return model.to(torch.float32).eval()


def compare(program, name, config):
    with tempfile.TemporaryDirectory() as folder:
        model = make(config, folder)
        generator = torch.Generator().manual_seed(9)
        ids = torch.randint(3, config.vocab_size, (300,), generator=generator)
        with open(f"{folder}/ids.txt", "w") as file:
            file.write(" ".join(str(int(i)) for i in ids))
        with torch.no_grad():
            wanted = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
        run = subprocess.run([program, folder, f"{folder}/ids.txt"], capture_output=True, text=True)
        lines = run.stdout.splitlines()
        if run.returncode != 0 or len(lines) != len(ids) - 1:
            print(f"FAILED  {name}: {run.stderr.strip()[-300:]} ({len(lines)} lines)")
            return False
        worst = total = count = same = 0
        for position, line in enumerate(lines):
            fields = line.split()
            pairs = [(int(ids[position + 1]), float(fields[0]))]
            pairs += [(int(fields[i]), float(fields[i + 1])) for i in range(1, len(fields), 2)]
            unit = float(wanted[position].std())
            for token, logprob in pairs:
                off = abs(logprob - float(wanted[position, token])) / unit
                worst, total, count = max(worst, off), total + off, count + 1
            same += int(fields[1]) == int(wanted[position].argmax())
        ok = worst < WORST and total / count < MEAN
        print(f"{'ok     ' if ok else 'FAILED '} {name}: worst {worst:.4f}, "
              f"mean {total / count:.5f}, best id equal at {same} of {len(lines)}")
        return ok


def main():
    torch.manual_seed(3)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    done = [compare(sys.argv[1], name, config) for name, config in families()]
    return 0 if all(done) else 1


sys.exit(main())
