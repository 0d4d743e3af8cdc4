// The one error of the client. `code` is the server's machine-readable name of what went wrong, or
// connection_lost where no server could be reached.
export interface ErrorFacts {
  readonly code: string
  readonly message: string
  /** As the server names it, "invalid_request_error"; absent where none answered. */
  readonly type?: string
  /** The field of the request that is wrong. */
  readonly param?: string | null
  /** Of the HTTP answer, where there was one. */
  readonly status?: number
}

export class SluiceError extends Error {
  readonly facts: ErrorFacts
  /** Whether it may help to ask again, which the client did before it threw. */
  readonly isPassing: boolean
  readonly retryAfterMs: number

  get code(): string {
    return this.facts.code
  }

  constructor(facts: ErrorFacts, isPassing: boolean, retryAfterMs = 0, cause?: unknown) {
    super(facts.message, { cause })
    this.name = "SluiceError"
    this.facts = facts
    this.isPassing = isPassing
    this.retryAfterMs = retryAfterMs
  }
}

/** Of an HTTP answer that is no success; its body may be that of something in between. */
export const errorOfAnswer = async (answer: Response): Promise<SluiceError> => {
  const { status, headers } = answer
  const { error } = await answer
    .text()
    .then(JSON.parse)
    .catch(() => ({}))
  const isPassing = headers.get("x-should-retry") !== "false" && (status === 429 || status >= 500)
  const facts = { code: `http_${status}`, message: `HTTP ${status}`, ...error, status }
  return new SluiceError(facts, isPassing, 1000 * Number(headers.get("retry-after")))
}
