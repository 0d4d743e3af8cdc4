// Which of the decoders of tokenizer.json a folder has: byte-level (GPT-2, Llama 3, Qwen) or pieces
// (sentencepiece-style: Llama 2, Mistral). Others are refused by name, never guessed at.
import { Effect, Schema } from "effect"
import { TokenizerError } from "./Tokenizer.ts"

export type DecoderKind =
  | { readonly kind: "byteLevel" }
  | {
      readonly kind: "pieces"
      readonly replace: ReadonlyArray<{ readonly from: string; readonly to: string }>
      /** `<0xE2>` stands for the byte E2. */
      readonly byteFallback: boolean
      readonly stripsLeadingSpace: boolean
    }

const Step = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("Replace"),
    pattern: Schema.Struct({ String: Schema.String }),
    content: Schema.String,
  }),
  Schema.Struct({ type: Schema.Literal("ByteFallback") }),
  Schema.Struct({ type: Schema.Literal("Fuse") }),
  Schema.Struct({
    type: Schema.Literal("Strip"),
    content: Schema.Literal(" "),
    start: Schema.Literal(1),
    stop: Schema.Literal(0),
  }),
  Schema.Struct({
    type: Schema.Literal("Metaspace"),
    replacement: Schema.optionalKey(Schema.String),
    prepend_scheme: Schema.optionalKey(Schema.String),
    add_prefix_space: Schema.optionalKey(Schema.Boolean),
  }),
  Schema.Struct({ type: Schema.Literal("ByteLevel") }),
])

const Decoder = Schema.Union([
  Schema.Struct({ type: Schema.Literal("Sequence"), decoders: Schema.Array(Step) }),
  Step,
])

const supported =
  "supported are ByteLevel, Metaspace, and sequences of Replace (of a string), ByteFallback, " +
  "Fuse and Strip (of one leading space)"

const refused = (found: string) =>
  new TokenizerError({
    reason: "unsupported",
    message: `tokenizer.json: the decoder is ${found}; ${supported}`,
  })

const typeName = (value: unknown): string => {
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "absent"
  if (!("type" in value)) return "an object without a type"
  const inner = "decoders" in value && Array.isArray(value.decoders) ? value.decoders : []
  const names = inner.slice(0, 16).map(typeName)
  return names.length === 0 ? String(value.type) : `${String(value.type)}(${names.join(", ")})`
}

const keepsSpace = (step: {
  readonly prepend_scheme?: string
  readonly add_prefix_space?: boolean
}) => step.prepend_scheme === "never" || step.add_prefix_space === false

export const decoderKind = Effect.fnUntraced(function* (decoder: unknown) {
  const parsed = yield* Schema.decodeUnknownEffect(Decoder)(decoder).pipe(
    Effect.mapError(() => refused(typeName(decoder))),
  )
  const steps = parsed.type === "Sequence" ? parsed.decoders : [parsed]
  if (steps.length === 1 && steps[0]?.type === "ByteLevel") {
    return { kind: "byteLevel" } satisfies DecoderKind as DecoderKind
  }
  const replace: Array<{ readonly from: string; readonly to: string }> = []
  let byteFallback = false
  let fused = false
  let stripsLeadingSpace = false
  for (const step of steps) {
    if (step.type === "ByteLevel") return yield* refused(typeName(decoder))
    // A Strip before Fuse would cut every token, a Replace after ByteFallback the bytes' text.
    if (step.type === "Strip" && !fused) return yield* refused(typeName(decoder))
    if (step.type === "Replace" && (byteFallback || fused)) return yield* refused(typeName(decoder))
    if (step.type === "Replace") replace.push({ from: step.pattern.String, to: step.content })
    if (step.type === "Metaspace") {
      replace.push({ from: step.replacement ?? "\u2581", to: " " })
      stripsLeadingSpace = !keepsSpace(step)
    }
    byteFallback ||= step.type === "ByteFallback"
    fused ||= step.type === "Fuse"
    stripsLeadingSpace ||= step.type === "Strip"
  }
  const pieces: DecoderKind = { kind: "pieces", replace, byteFallback, stripsLeadingSpace }
  return pieces
})
