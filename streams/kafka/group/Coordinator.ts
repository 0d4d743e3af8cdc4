// The broker that keeps one consumer group's state, as a member talks to it: found by asking, and
// found again whenever it does not answer or says that it is another.
import type { TopicPartition } from "../../Log.ts"
import { partitionKey } from "../../partitionKey.ts"
import { type Cluster, Wire } from "../wire/Cluster.ts"
import { BrokerError, codes, orThrow } from "../wire/errors.ts"
import type { ApiName, Args, Data } from "../wire/requests.ts"

const groupType = 0

/** Codes by which a broker says that it is not, or not yet, the group's coordinator. */
const elsewhere: ReadonlySet<number> = new Set([
  codes.coordinatorNotAvailable,
  codes.notCoordinator,
])

export class Coordinator {
  readonly group: string
  readonly #cluster: Cluster
  #wire: Wire
  #node: number | null = null

  constructor(cluster: Cluster, group: string) {
    this.#cluster = cluster
    this.#wire = cluster.newWire()
    this.group = group
  }

  /** The next call asks who it is. */
  forget(): void {
    this.#node = null
  }

  /** Ends what is on its way (a join may wait for long); calls after it use new connections. */
  interrupt(): void {
    this.#cluster.closeWire(this.#wire)
    this.#wire = this.#cluster.newWire()
  }

  close(): void {
    this.#cluster.closeWire(this.#wire)
  }

  /** Fails with the code of the answer; the caller knows which of them mean something to it. */
  async call<Name extends ApiName>(name: Name, args: Args<Name>): Promise<Data<Name>> {
    const node = this.#wire.node(await this.#find())
    try {
      return await node.call(name, args)
    } catch (error) {
      this.forget()
      throw error
    }
  }

  /** This machine's address on the way to it; null while there is no connection. */
  get localHost(): string | null {
    return this.#node === null ? null : this.#wire.node(this.#node).localHost
  }

  check(code: number, what: string): void {
    if (elsewhere.has(code)) this.forget()
    orThrow(code, `group ${this.group}, ${what}`)
  }

  /** By partitionKey; what nobody has committed is left out. */
  async committed(partitions: ReadonlyArray<TopicPartition>): Promise<ReadonlyMap<string, number>> {
    if (partitions.length === 0) return new Map()
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, list]) => ({
      topic,
      partitions: list.map(({ partition }) => ({ partition })),
    }))
    const answer = await this.call("OffsetFetch", { groupId: this.group, topics })
    this.check(answer.errorCode, "committed offsets")
    const found = new Map<string, number>()
    for (const { topic, partitions: list } of answer.responses) {
      for (const { partition, offset, errorCode } of list) {
        this.check(errorCode, "committed offsets")
        if (Number(offset) >= 0) found.set(partitionKey({ topic, partition }), Number(offset))
      }
    }
    return found
  }

  async #find(): Promise<number> {
    if (this.#node !== null) return this.#node
    if (this.#cluster.nodeIds().length === 0) await this.#cluster.refresh()
    const asked = { groupId: this.group, coordinatorType: groupType }
    const { errorCode, coordinator } = await this.#wire.any("GroupCoordinator", asked)
    orThrow(errorCode, `the coordinator of group ${this.group}`)
    // It may be a broker that joined since the last look.
    if (!this.#cluster.nodeIds().includes(coordinator.nodeId)) await this.#cluster.refresh()
    if (!this.#cluster.nodeIds().includes(coordinator.nodeId)) {
      throw new BrokerError(null, `there is no broker ${coordinator.nodeId} now`)
    }
    this.#node = coordinator.nodeId
    return this.#node
  }
}
