// `node test/support/services/main.ts [1|3]`: Kafka, a registry and Redis for trying things out,
// until Ctrl-C. Prints the flags that processes of Sluice need.
import { KafkaCluster } from "./KafkaCluster.ts"
import { Redis } from "./Redis.ts"
import { Registry } from "./Registry.ts"

const nodes = process.argv[2] === "3" ? 3 : 1
const [kafka, registry, redis] = await Promise.all([
  KafkaCluster.start({ nodes }),
  Registry.start(),
  Redis.start(),
])
console.log(`--kafka ${kafka.bootstrap} --registry ${registry.url} --redis ${redis.url}`)
const stop = async () => {
  await Promise.all([kafka.stop(), registry.stop(), redis.stop()])
  process.exit(0)
}
process.once("SIGINT", () => void stop()).once("SIGTERM", () => void stop())
setInterval(() => undefined, 60_000)
