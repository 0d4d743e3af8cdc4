// Requests that this process saw lately, so that finding one costs no read of the request log.
// Bounded by count and by the ids their prompts hold; the one that was asked for longest ago goes
// first.
import type { RequestAccepted } from "../../schemas/types.ts"

export interface MemoryBounds {
  readonly requestsMax: number
  readonly promptIdsMax: number
}

const memoryBounds: MemoryBounds = { requestsMax: 16_384, promptIdsMax: 8 * 1024 * 1024 }

export interface RequestMemory {
  readonly get: (requestId: string) => RequestAccepted | null
  readonly put: (request: RequestAccepted) => void
}

const promptIds = ({ prompts }: RequestAccepted) =>
  prompts.reduce((sum, prompt) => sum + prompt.length, 0)

export const makeRequestMemory = (bounds: MemoryBounds = memoryBounds): RequestMemory => {
  const requests = new Map<string, RequestAccepted>()
  let ids = 0

  const forget = (request: RequestAccepted) => {
    if (requests.delete(request.requestId)) ids -= promptIds(request)
  }
  const put = (request: RequestAccepted) => {
    const known = requests.get(request.requestId)
    if (known !== undefined) forget(known)
    requests.set(request.requestId, request)
    ids += promptIds(request)
    for (const oldest of requests.values()) {
      if (requests.size <= bounds.requestsMax && ids <= bounds.promptIdsMax) break
      forget(oldest)
    }
  }
  return {
    put,
    get: (requestId) => {
      const request = requests.get(requestId)
      if (request === undefined) return null
      requests.delete(requestId)
      requests.set(requestId, request)
      return request
    },
  }
}
