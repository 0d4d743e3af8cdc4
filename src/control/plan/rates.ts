// What engines were measured to do, and what a GPU costs: the tables that a plan starts from. Each
// rate says where it was seen; none is made up for a card that nobody measured.

export interface EngineRate {
  /** Model and format, as `--model` names it. */
  readonly model: string
  readonly gpu: string
  readonly gpusPerReplica: number
  /** Sequences at once, and the tokens a second that they get together. */
  readonly batch: number
  readonly tokensPerSecond: number
  readonly weightBytes: number
  /** Of one token of one sequence, over all of a replica's GPUs. */
  readonly kvBytesPerToken: number
  readonly source: string
}

/** 2 (keys and values) x layers x KV heads x head size x 2 bytes. */
const kvBytes = (layers: number, kvHeads: number, headSize: number) =>
  2 * layers * kvHeads * headSize * 2

const ours = "npm run bench -- engine: 256 requests of 100 + 200 tokens"
const seed = "the seed's assumption, not measured"

const h200 = { gpu: "h200", gpusPerReplica: 1, batch: 256, source: ours }
const a100 = { gpu: "a100", source: seed }

export const engineRates: ReadonlyArray<EngineRate> = [
  {
    ...h200,
    model: "8b-bf16",
    tokensPerSecond: 20_566,
    weightBytes: 15_009_316_864,
    kvBytesPerToken: kvBytes(32, 8, 128),
  },
  {
    ...h200,
    model: "8b-int4",
    tokensPerSecond: 21_132,
    weightBytes: 4_758_437_888,
    kvBytesPerToken: kvBytes(32, 8, 128),
  },
  {
    ...a100,
    model: "70b-int4",
    gpusPerReplica: 4,
    batch: 32,
    tokensPerSecond: 40 * 32,
    weightBytes: 39e9,
    kvBytesPerToken: kvBytes(80, 8, 128),
  },
  {
    ...a100,
    model: "13b-fp16",
    gpusPerReplica: 1,
    batch: 64,
    tokensPerSecond: 80 * 64,
    weightBytes: 26e9,
    kvBytesPerToken: kvBytes(40, 40, 128),
  },
]

export interface Gpu {
  readonly memoryBytes: number
  /** An hour of one, in dollars; null: nobody said. */
  readonly hourly: number | null
}

/** The seed's prices; a card that it does not name has none until it is given. */
export const gpus: Readonly<Record<string, Gpu>> = {
  a100: { memoryBytes: 80e9, hourly: 4.1 },
  h100: { memoryBytes: 80e9, hourly: 8 },
  h200: { memoryBytes: 141e9, hourly: null },
}
