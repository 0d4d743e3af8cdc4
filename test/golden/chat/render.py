"""Writes expected.json: what transformers' apply_chat_template gives for cases.json.

Uses jinja2 the way transformers does (utils/chat_template_utils.py): an immutable sandbox, trimmed
blocks, json.dumps without escapes, loop controls. Needs Python's jinja2 only.

    python3 render.py FOLDER_OF_MODELS
"""

import json
import sys
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def special_tokens(config):
    names = ["bos_token", "eos_token", "unk_token", "pad_token"]
    found = {name: config[name] for name in names if config.get(name) is not None}
    return {k: v if isinstance(v, str) else v["content"] for k, v in found.items()}


def main():
    here = Path(__file__).parent
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    expected = {}
    for case in json.loads((here / "cases.json").read_text()):
        folder = Path(sys.argv[1]) / case["model"]
        config = json.loads((folder / "tokenizer_config.json").read_text())
        template = environment.from_string(config["chat_template"])
        expected[case["name"]] = template.render(
            messages=case["messages"],
            tools=case.get("tools"),
            documents=None,
            add_generation_prompt=case["addGenerationPrompt"],
            **special_tokens(config),
            **case.get("variables", {}),
        )
    text = json.dumps(expected, ensure_ascii=False, indent=2) + "\n"
    (here / "expected.json").write_text(text)


main()
