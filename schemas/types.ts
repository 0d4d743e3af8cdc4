// What travels in the logs, as TypeScript types. Generated from the .avsc files beside this
// by schemas/generate.ts (`npm run schemas`): edit those. Longs are whole, within 2^53.

/** A setting's value for every process, until the next change. */
export interface SettingChanged {
  readonly kind: "SettingChanged"
  readonly key: string
  /** as JSON; null: what each process's own configuration says */
  readonly value: string | null
}

/** Another version is to be loaded beside the one that serves, and to take its place by stages. */
export interface RolloutStarted {
  readonly kind: "RolloutStarted"
  readonly model: string
  /** the version that serves */
  readonly from: string
  readonly to: string
  /** the folder of the version that serves */
  readonly fromSource: string
  /** the folder of the new version */
  readonly source: string
  /** percent of the requests; the last is 100 */
  readonly stages: ReadonlyArray<number>
  /** how long each stage is watched */
  readonly stageMs: number
  /** what is judged together */
  readonly windowMs: number
  /** after the last stage, until the old version is unloaded */
  readonly graceMs: number
}

export interface RolloutStageEntered {
  readonly kind: "RolloutStageEntered"
  /** index in stages */
  readonly stage: number
}

/** The split stays as it is until the rollout is promoted, resumed or rolled back. */
export interface RolloutPaused {
  readonly kind: "RolloutPaused"
  readonly reason: string
}

export interface RolloutResumed {
  readonly kind: "RolloutResumed"
  readonly reason: string
}

/**
 * All requests go to the version that served before; the new one is unloaded when its last request
 * has ended.
 */
export interface RolloutRolledBack {
  readonly kind: "RolloutRolledBack"
  readonly reason: string
}

/** The new version serves; the old one is unloaded after its grace. */
export interface RolloutCompleted {
  readonly kind: "RolloutCompleted"
  readonly reason: string
}

/** Its workers unload it. */
export interface VersionRetired {
  readonly kind: "VersionRetired"
  readonly version: string
}

export type ControlChange =
  | SettingChanged
  | RolloutStarted
  | RolloutStageEntered
  | RolloutPaused
  | RolloutResumed
  | RolloutRolledBack
  | RolloutCompleted
  | VersionRetired

/**
 * A change that operators, or who decides for them, made to what runs. Counts iff `after` is the
 * newest event of its entity that counts: of two who decide at once, the first in the log did.
 */
export interface ControlEvent {
  /** its own; a repetition changes nothing */
  readonly eventId: string
  /** ms since the epoch */
  readonly at: number
  /** who asked, or which process decided */
  readonly by: string
  /** what it is about: config/<setting>, rollout/<model> */
  readonly entity: string
  /** the event id that its writer saw as the entity's newest; null: none */
  readonly after: string | null
  readonly change: ControlChange
}

/**
 * A request that kept killing its workers, with what is needed to look at it and to send it again.
 */
export interface DeadLetter {
  readonly requestId: string
  /** ms since the epoch */
  readonly deadAt: number
  readonly attempts: number
  readonly code: string
  readonly message: string
  /** the RequestAccepted record as it was read, header and all */
  readonly request: Uint8Array
}

/**
 * A gateway asks that a request be the one of an idempotency key. The first claim of a key in log
 * order counts.
 */
export interface KeyClaimed {
  /** of tenant and key; the key itself is nowhere */
  readonly keyDigest: string
  /** of what was asked */
  readonly bodyDigest: string
  readonly requestId: string
  /** a request that held the key and can never run */
  readonly replaces: string | null
}

export type Tier = "priority" | "default" | "flex"

export interface LogitBias {
  readonly token: number
  readonly bias: number
}

export interface Sampling {
  readonly maxTokens: number
  readonly minTokens: number
  readonly temperature: number
  readonly topP: number
  /** 0: off */
  readonly topK: number
  readonly minP: number
  readonly presencePenalty: number
  readonly frequencyPenalty: number
  readonly repetitionPenalty: number
  readonly logitBias: ReadonlyArray<LogitBias>
  /**
   * drawn by the gateway where the client gave none, so that an adopting worker draws alike; within
   * +-2^53
   */
  readonly seed: number
  readonly stop: ReadonlyArray<string>
  readonly stopTokenIds: ReadonlyArray<number>
  readonly ignoreEos: boolean
  /** -1: none; k: the chosen token's and the k most likely ones' */
  readonly logprobs: number
  /** the same for the prompt's tokens (echo with logprobs) */
  readonly promptLogprobs: number
  readonly skipSpecialTokens: boolean
  /** keep the stop string in the text */
  readonly includeStop: boolean
}

export interface MetadataEntry {
  readonly key: string
  readonly value: string
}

export interface ConversationTurn {
  readonly role: string
  readonly content: string
}

/** what a request of the responses dialect asked for and its response object shows again */
export interface ResponseOptions {
  readonly background: boolean
  /** false: it cannot be retrieved under its response id */
  readonly store: boolean
  readonly instructions: string | null
  readonly previousResponseId: string | null
  /** as asked for */
  readonly maxOutputTokens: number | null
  readonly metadata: ReadonlyArray<MetadataEntry>
  /**
   * what was said before the answer, less the instructions: where a next response goes on; empty
   * where store is false
   */
  readonly conversation: ReadonlyArray<ConversationTurn>
}

export interface AnswerOptions {
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly echo: boolean
  /** the prompts as text, where echo is set */
  readonly echoTexts: ReadonlyArray<string>
  readonly returnTokenIds: boolean
  readonly cancelOnDisconnect: boolean
  readonly serviceTier: string | null
  readonly user: string | null
  /**
   * the id a client gave: of a WebSocket's request, echoed in its messages; of a useChat
   * conversation
   */
  readonly clientId: string | null
  readonly response: ResponseOptions | null
}

export interface RequestGrammar {
  /** json_schema, regex or lark */
  readonly kind: string
  readonly text: string
}

export interface RequestTools {
  /** how the model writes a call: hermes, llama3 or mistral */
  readonly format: string
  /** false: of several calls the first one counts */
  readonly parallel: boolean
  /** as asked for, in JSON: a response object shows them again */
  readonly shown: string
  /** tool_choice, likewise */
  readonly choice: string
}

/**
 * A request that was admitted. Written once, by the gateway or any producer; everything after it is
 * a fold of the token log.
 */
export interface RequestAccepted {
  /** req- and the 32 hex digits of a UUIDv7 */
  readonly requestId: string
  /** ms since the epoch */
  readonly acceptedAt: number
  /** ms since the epoch; past it the request expires */
  readonly deadline: number
  readonly model: string
  readonly version: string
  readonly tier: Tier
  /** whose API key it was; empty where none is configured */
  readonly tenant: string
  /** the projection in which it is answered: completions, chat, stream, responses, ui */
  readonly dialect: string
  readonly promptCacheKey: string | null
  /** token ids, one array a prompt */
  readonly prompts: ReadonlyArray<ReadonlyArray<number>>
  /** choices a prompt; choice = prompt * n + i */
  readonly n: number
  readonly sampling: Sampling
  /** how the answer is written; read by the projection only */
  readonly answer: AnswerOptions
  readonly traceparent: string | null
  /** what each choice's text must match, as far as it goes */
  readonly grammar: RequestGrammar | null
  /** functions that the answer may call; read by the projection only */
  readonly tools: RequestTools | null
  /** of the responses dialect: text.format as asked for, in JSON, shown again */
  readonly textFormat: string | null
}

/**
 * Tells workers to stop spending steps. The Cancelled entry in the token log is what settles the
 * request.
 */
export interface RequestCancelled {
  readonly requestId: string
  /** ms since the epoch */
  readonly cancelledAt: number
}

export interface TopLogprob {
  readonly id: number
  readonly logprob: number
}

export interface TokenLogprob {
  readonly logprob: number
  readonly top: ReadonlyArray<TopLogprob>
}

export type FinishReason = "stop" | "length"

/**
 * Counts iff attempt and writer are the current claimant's. Positions of a choice run from 0
 * without gap, over attempts.
 */
export interface TokensGenerated {
  readonly kind: "TokensGenerated"
  readonly requestId: string
  readonly attempt: number
  readonly choice: number
  /** of ids[0] */
  readonly position: number
  readonly ids: ReadonlyArray<number>
  /** one a token; empty while text is held back (split UTF-8, a stop string's beginning) */
  readonly texts: ReadonlyArray<string>
  readonly logprobs: ReadonlyArray<TokenLogprob> | null
  /** set with the choice's last token */
  readonly finish: FinishReason | null
  /** the stop string, or the stop token's id in digits; null for end of sequence */
  readonly stopReason: string | null
}

/** Counts iff attempt is the current attempt + 1: then it is current. */
export interface AttemptClaimed {
  readonly kind: "AttemptClaimed"
  readonly requestId: string
  /** from 1 */
  readonly attempt: number
  readonly worker: string
}

/**
 * The prompt's logprobs, where asked for (echo with logprobs). Counts like TokensGenerated; makes
 * no event of its own.
 */
export interface PromptScored {
  readonly kind: "PromptScored"
  readonly requestId: string
  readonly attempt: number
  readonly prompt: number
  /** of the prompt's tokens 1.. (the first has none) */
  readonly logprobs: ReadonlyArray<TokenLogprob>
}

/** All choices ended. Counts iff attempt and writer are the current claimant's. */
export interface GenerationFinished {
  readonly kind: "GenerationFinished"
  readonly requestId: string
  readonly attempt: number
  readonly promptTokens: number
  /** prompt tokens served from the prefix cache */
  readonly cachedTokens: number
}

/** The current claimant gave up for good. */
export interface GenerationFailed {
  readonly kind: "GenerationFailed"
  readonly requestId: string
  readonly attempt: number
  readonly code: string
  readonly message: string
}

/** Anyone may append it; it settles the request where no terminal entry came before. */
export interface Cancelled {
  readonly kind: "Cancelled"
  readonly requestId: string
  readonly by: string
}

/** The deadline passed. Anyone may append it. */
export interface Expired {
  readonly kind: "Expired"
  readonly requestId: string
  readonly deadline: number
}

/** Gave up after too many claims without progress. Anyone may append it. */
export interface DeadLettered {
  readonly kind: "DeadLettered"
  readonly requestId: string
  readonly attempts: number
  readonly code: string
  readonly message: string
}

export type TokenEntry =
  | TokensGenerated
  | AttemptClaimed
  | PromptScored
  | GenerationFinished
  | GenerationFailed
  | Cancelled
  | Expired
  | DeadLettered

/**
 * What one writer appended to one token partition in one flush: many requests' entries, in order.
 */
export interface TokenFrame {
  /** worker or gateway id */
  readonly writer: string
  /** ms since the epoch */
  readonly writtenAt: number
  readonly entries: ReadonlyArray<TokenEntry>
}

export type WorkerState = "starting" | "ready" | "draining" | "stopped"

/** A worker's heartbeat. Compacted by worker id; the newest counts. */
export interface WorkerStatus {
  readonly workerId: string
  /** ms since the epoch */
  readonly at: number
  readonly model: string
  readonly version: string
  readonly state: WorkerState
  /** topic/partition */
  readonly partitions: ReadonlyArray<string>
  readonly slotsFree: number
  readonly slots: number
  readonly blocksFree: number
  readonly blocks: number
  readonly requestsRunning: number
  readonly requestsWaiting: number
  /** prompt and output tokens promised and not yet computed */
  readonly tokensOutstanding: number
  /** measured over the last seconds */
  readonly tokensPerSecond: number
  /** since the last step finished while work was queued */
  readonly stalledMs: number
  readonly device: string
}
