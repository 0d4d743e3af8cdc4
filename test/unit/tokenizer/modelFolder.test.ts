// Damaged, hostile and unsupported model folders: each is refused by the file's name with what was
// found.
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeTokenizer } from "../../../src/tokenizer/layer.ts"

const byteLevel = {
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
}
const model = {
  type: "BPE",
  unk_token: null,
  byte_fallback: false,
  vocab: { a: 0, b: 1, ab: 2, Ġ: 3 } as Record<string, unknown>,
  merges: ["a b"] as ReadonlyArray<unknown>,
}
const good = {
  version: "1.0",
  added_tokens: [{ id: 4, content: "<eos>", special: true, normalized: false }],
  normalizer: null,
  pre_tokenizer: byteLevel,
  post_processor: null,
  decoder: byteLevel as unknown,
  model,
}

type Files = Record<string, string | Buffer | object | null>

const withFolder = <A, E>(files: Files, use: (path: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "sluice-tokenizer-"))
      for (const [name, content] of Object.entries(files)) {
        if (content === null) mkdirSync(join(path, name))
        else if (typeof content === "string" || Buffer.isBuffer(content)) {
          writeFileSync(join(path, name), content)
        } else writeFileSync(join(path, name), JSON.stringify(content))
      }
      return path
    }),
    use,
    (path) => Effect.sync(() => rmSync(path, { recursive: true })),
  )

const refusal = (files: Files) =>
  withFolder(files, (path) => Effect.flip(Effect.scoped(makeTokenizer(path)))).pipe(
    Effect.map(({ reason, message }) => `${reason}: ${message}`),
  )

const tokenizer = (change: object) => ({ "tokenizer.json": { ...good, ...change } })

const refusals: ReadonlyArray<readonly [string, Files, RegExp]> = [
  ["an empty folder", {}, /^damaged: tokenizer.json: there is none in /],
  ["a file that is not JSON", { "tokenizer.json": '{"model":' }, /tokenizer.json: is not JSON/],
  ["a list", { "tokenizer.json": "[1]" }, /tokenizer.json: does not hold an object/],
  ["bytes that are no UTF-8", { "tokenizer.json": Buffer.from([0x7b, 0xff]) }, /is not UTF-8/],
  ["a folder instead of a file", { "tokenizer.json": null }, /tokenizer.json: is not a file/],
  [
    "a model of another kind",
    tokenizer({ model: { ...model, type: "Unigram" } }),
    /^unsupported: .*Unigram/,
  ],
  ["no vocabulary", tokenizer({ model: { ...model, vocab: [["a", 0]] } }), /model.vocab/],
  [
    "an empty vocabulary",
    tokenizer({ model: { ...model, vocab: {} }, added_tokens: [] }),
    /is empty/,
  ],
  ["an id of text", tokenizer({ model: { ...model, vocab: { a: "0" } } }), /"a" has the id 0/],
  ["an id out of all bounds", tokenizer({ model: { ...model, vocab: { a: 4e9 } } }), /4000000000/],
  [
    "a negative added id",
    tokenizer({ added_tokens: [{ id: -1, content: "x", special: true }] }),
    /"x"/,
  ],
  ["merges of numbers", tokenizer({ model: { ...model, merges: [[1, 2]] } }), /model.merges/],
  ["no decoder", tokenizer({ decoder: undefined }), /tokenizer.json: Missing key at \["decoder"\]/],
  ["a null decoder", tokenizer({ decoder: null }), /^unsupported: .*decoder is null/],
  [
    "another decoder",
    tokenizer({ decoder: { type: "WordPiece" } }),
    /decoder is WordPiece; supported/,
  ],
  [
    "a strip of every token",
    tokenizer({
      decoder: {
        type: "Sequence",
        decoders: [{ type: "Strip", content: " ", start: 1, stop: 0 }, { type: "Fuse" }],
      },
    }),
    /decoder is Sequence\(Strip, Fuse\)/,
  ],
  [
    "an unknown pre-tokenizer",
    tokenizer({ pre_tokenizer: { type: "Zip" } }),
    /tokenizer.json: .*Zip/,
  ],
  [
    "a class that is a number",
    { ...tokenizer({}), "tokenizer_config.json": { tokenizer_class: 7 } },
    /^damaged: tokenizer_config.json: /,
  ],
  [
    "eos ids of text",
    { ...tokenizer({}), "generation_config.json": { eos_token_id: ["x"] } },
    /^damaged: generation_config.json: /,
  ],
  [
    "a config that is null",
    { ...tokenizer({}), "config.json": "null" },
    /config.json: does not hold/,
  ],
]

describe("model folders that are refused", () => {
  for (const [name, files, expected] of refusals) {
    it.live(name, () =>
      Effect.gen(function* () {
        expect(yield* refusal(files)).toMatch(expected)
      }),
    )
  }
})

const render = { addGenerationPrompt: true, tools: null, variables: {} }
const hello = [{ role: "user", content: "hello" }]

const rendered = (files: Files, options = render) =>
  withFolder({ ...tokenizer({}), ...files }, (path) =>
    Effect.scoped(
      Effect.flatMap(makeTokenizer(path), ({ renderChat }) => renderChat(hello, options)),
    ),
  )

describe("model folders that are taken", () => {
  it.live("adds ids by add_bos_token where there is no post-processor", () =>
    withFolder(
      {
        ...tokenizer({}),
        "tokenizer_config.json": { bos_token: { content: "<eos>" }, add_bos_token: true },
      },
      (path) =>
        Effect.gen(function* () {
          const { encode, decode } = yield* makeTokenizer(path)
          expect(yield* encode("ab", true)).toEqual([4, 2])
          expect(yield* encode("ab", false)).toEqual([2])
          expect(decode([4, 2], false)).toBe("<eos>ab")
        }).pipe(Effect.scoped),
    ),
  )

  it.live("gives the template's own sentence where it refuses the messages", () =>
    Effect.gen(function* () {
      const files = {
        "tokenizer_config.json": {
          chat_template: "{{ raise_exception('Only one turn, please') }}",
        },
      }
      const error = yield* Effect.flip(rendered(files))
      expect(error.reason).toBe("templateFailed")
      expect(error.message).toContain("Only one turn, please")
      const broken = { "tokenizer_config.json": { chat_template: "{% if %}" } }
      expect((yield* Effect.flip(rendered(broken))).reason).toBe("templateFailed")
      expect((yield* Effect.flip(rendered({}))).reason).toBe("noChatTemplate")
    }),
  )

  it.live("takes templates by name and from chat_template.jinja, which goes first", () =>
    Effect.gen(function* () {
      const named = {
        "tokenizer_config.json": {
          chat_template: [
            { name: "default", template: "plain" },
            { name: "tool_use", template: "{{ tools|length }} tools" },
          ],
        },
      }
      expect(yield* rendered(named)).toBe("plain")
      expect(yield* rendered(named, { ...render, tools: [{}, {}] as never })).toBe("2 tools")
      const file = "{{ messages[0].content }}{{ bos_token is defined }}{{ mood }}"
      const both = { ...named, "chat_template.jinja": file }
      expect(yield* rendered(both, { ...render, variables: { mood: "!", messages: [] } })).toBe(
        "hellofalse!",
      )
    }),
  )
})
