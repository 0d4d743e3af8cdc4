// The parts of a request that most tests do not care about: greedy, one plain streamed choice. Who
// makes requests spreads these and names what it changes.
import { plainSampling as plain } from "../../schemas/plainRequest.ts"
import type { Sampling } from "../../schemas/types.ts"

export { plainAnswer } from "../../schemas/plainRequest.ts"

export const plainSampling: Sampling = { ...plain, seed: 7 }
