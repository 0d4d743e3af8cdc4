"""Where the time of one decode step goes, kernel by kernel, by NVIDIA's ncu.

    python3 profile.py ENGINE_BENCH [MODEL FORMAT WORK ...]     8b bf16 profile unless said otherwise

Kernels are launched one by one, without graphs and without overlap, so their sum is more than a
step takes; shares and bandwidths are what it is for. Prints one JSON object a work.
"""
import csv
import json
import re
import subprocess
import sys

METRICS = "gpu__time_duration.sum,dram__bytes_read.sum"
LAST_OF_A_STEP = "sampler_kernel"


def short(name):
    return re.sub(r"\(.*", "", re.sub(r"void |sluice::|<?unnamed>::|\(anonymous namespace\)::", "",
                                      name)).strip()


def launches(program, work):
    run = subprocess.run(["ncu", "--csv", "--metrics", METRICS, program, *work],
                         capture_output=True, text=True)
    lines = [line for line in run.stdout.splitlines() if line.startswith('"')]
    if not lines:
        raise SystemExit(f"ncu gave nothing:\n{run.stdout[-500:]}{run.stderr[-500:]}")
    found = {}
    for row in csv.DictReader(lines):
        kernel = found.setdefault(int(row["ID"]), {"name": short(row["Kernel Name"])})
        value = float(row["Metric Value"].replace(",", ""))
        unit = row["Metric Unit"]
        if row["Metric Name"].startswith("gpu__time"):
            kernel["us"] = value * {"ns": 1e-3, "us": 1, "ms": 1e3}[unit]
        else:
            kernel["bytes"] = value * {"byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}[unit]
    return [found[key] for key in sorted(found)]


def last_step(kernels):
    ends = [i for i, kernel in enumerate(kernels) if kernel["name"].startswith(LAST_OF_A_STEP)]
    return kernels[ends[-2] + 1:ends[-1] + 1] if len(ends) > 1 else kernels


def table(step):
    by_name = {}
    for kernel in step:
        row = by_name.setdefault(kernel["name"], {"calls": 0, "us": 0.0, "bytes": 0.0})
        row["calls"] += 1
        row["us"] += kernel["us"]
        row["bytes"] += kernel.get("bytes", 0)
    total = sum(row["us"] for row in by_name.values())
    return total, [{"kernel": name, "calls": row["calls"], "us": round(row["us"], 1),
                    "percent": round(100 * row["us"] / total, 1),
                    "readGBs": round(row["bytes"] / row["us"] / 1e3)}
                   for name, row in sorted(by_name.items(), key=lambda item: -item[1]["us"])]


def main():
    program, *words = sys.argv[1:]
    words = words or ["8b", "bf16", "profile"]
    for i in range(0, len(words), 3):
        total, rows = table(last_step(launches(program, words[i:i + 3])))
        print(json.dumps({"work": " ".join(words[i:i + 3]), "sumUs": round(total, 1),
                          "kernels": rows}), flush=True)


main()
