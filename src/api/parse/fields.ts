// The fields that every dialect of a generation request shares, as one set of Schemas: decoding,
// error messages and /openapi.json all come from here. `expected` is what the error message says of
// a wrong value. Bounds that depend on configuration or model are checked in sampling.ts.
import { Schema } from "effect"
import { grammarFields } from "./grammar.ts"

const number = (minimum: number, maximum: number, description: string) => {
  const expected = `a number from ${minimum} to ${maximum}`
  return Schema.optionalKey(
    Schema.Number.annotate({ expected })
      .check(Schema.isFinite({ expected }), Schema.isBetween({ minimum, maximum }, { expected }))
      .annotate({ description }),
  )
}

const integerOf = (minimum: number, maximum: number) => {
  const expected =
    maximum < Number.MAX_SAFE_INTEGER
      ? `an integer from ${minimum} to ${maximum}`
      : minimum > Number.MIN_SAFE_INTEGER
        ? `an integer of at least ${minimum}`
        : "an integer within ±(2^53 - 1)"
  return Schema.Number.annotate({ expected }).check(
    Schema.isInt({ expected }),
    Schema.isBetween({ minimum, maximum }, { expected }),
  )
}

export const integer = (minimum: number, maximum: number, description: string) =>
  Schema.optionalKey(integerOf(minimum, maximum).annotate({ description }))

export const flag = (description: string) =>
  Schema.optionalKey(Schema.Boolean.annotate({ expected: "true or false", description }))

export const text = (description: string) =>
  Schema.optionalKey(Schema.String.annotate({ expected: "a string", description }))

const anyInteger = Number.MAX_SAFE_INTEGER
const tokenIdMax = 2 ** 31 - 1

/** As the x-request-timeout header: a day. */
export const timeoutSecondsMax = 86_400

/** Longer lists are refused: each entry costs the sampler work at every token. */
const stopTokenIdsMax = 128

const tiers = ["auto", "default", "priority", "flex"] as const

const stopExpected = "a string or an array of strings"
const tierExpected = `one of ${tiers.map((tier) => `"${tier}"`).join(", ")}`
const idsExpected = `an array of at most ${stopTokenIdsMax} token ids`
const streamOptions = Schema.Struct({
  include_usage: flag("A last chunk carries the usage of the whole request."),
})

export const generationFields = {
  ...grammarFields,
  model: text("The served model's name; absent: the one that is served."),
  n: integer(1, anyInteger, "Choices for each prompt."),
  max_tokens: integer(1, anyInteger, "Tokens of a choice at most."),
  min_tokens: integer(0, anyInteger, "A choice does not end before so many tokens."),
  temperature: number(0, 2, "0: always the most likely token."),
  top_p: number(0, 1, "Only the most likely tokens of this much probability together."),
  top_k: integer(-1, anyInteger, "Only the k most likely tokens; 0 and -1: off."),
  min_p: number(0, 1, "Only tokens at least this likely, as a share of the most likely one."),
  presence_penalty: number(-2, 2, "Against tokens that occurred in the output."),
  frequency_penalty: number(-2, 2, "Against tokens, by how often they occurred in the output."),
  repetition_penalty: number(0.01, 100, "Divides the logits of tokens that occurred; 1: off."),
  logit_bias: Schema.optionalKey(
    Schema.Record(
      Schema.String,
      Schema.Number.annotate({ expected: "a number from -100 to 100" }).check(
        Schema.isBetween(
          { minimum: -100, maximum: 100 },
          { expected: "a number from -100 to 100" },
        ),
      ),
    ).annotate({
      expected: "an object from token ids to numbers",
      description: "Added to the logits of these token ids.",
    }),
  ),
  seed: integer(-anyInteger, anyInteger, "The same seed draws the same tokens."),
  stop: Schema.optionalKey(
    Schema.Union([
      Schema.String.annotate({ expected: stopExpected }),
      Schema.Array(Schema.String.annotate({ expected: "a string" })),
    ]).annotate({ expected: stopExpected, description: "Texts that end a choice." }),
  ),
  stop_token_ids: Schema.optionalKey(
    Schema.Array(integerOf(0, tokenIdMax))
      .annotate({ expected: idsExpected })
      .check(Schema.isMaxLength(stopTokenIdsMax, { expected: idsExpected }))
      .annotate({ description: "Token ids that end a choice." }),
  ),
  ignore_eos: flag("Generate on after the end-of-sequence token."),
  skip_special_tokens: flag("Leave special tokens out of the text (default true)."),
  include_stop_str_in_output: flag("Keep the stop string in the text."),
  return_token_ids: flag("Answers carry token ids beside the text."),
  stream: flag("Answer as server-sent events."),
  stream_options: Schema.optionalKey(streamOptions),
  cancel_on_disconnect: flag("Cancel when the client goes away; otherwise the request goes on."),
  request_timeout: number(
    0.001,
    timeoutSecondsMax,
    "Seconds that the answer is worth waiting for.",
  ),
  user: text("An opaque name of the end user."),
  prompt_cache_key: text("Requests with the same key share prefix caches where possible."),
  service_tier: Schema.optionalKey(
    Schema.Literals(tiers).annotate({ expected: tierExpected, description: "Queue tier." }),
  ),
  priority: integer(-anyInteger, anyInteger, "Below 0: sooner; above 0: later than others."),
} as const

/** The shared fields, decoded; each dialect's body is this and more. */
const GenerationBody = Schema.Struct(generationFields)
export type GenerationBody = typeof GenerationBody.Type
