// The name of a worker among all there ever were: claims in the log are by it.
import { Effect, Random } from "effect"

export const makeWorkerId = Effect.map(
  Random.nextIntBetween(0, 2 ** 48),
  (random) => `worker-${random.toString(16).padStart(12, "0")}`,
)
