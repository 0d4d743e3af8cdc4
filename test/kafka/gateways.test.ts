// What gateways decide by the logs alone, on a real Kafka: the same cases, unchanged.
import { describe } from "@effect/vitest"
import { idempotencyCases } from "../contract/idempotency.ts"
import { reaperCases } from "../contract/reaper.ts"
import { testLog, useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()

describe("a request under a key, on Kafka", () => idempotencyCases(testLog(bootstrap)))
describe("the reaper, on Kafka", () => reaperCases(testLog(bootstrap)))
