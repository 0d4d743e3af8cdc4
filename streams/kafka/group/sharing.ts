// What members tell one another through Kafka's group protocol, and how the one that Kafka makes
// the leader shares the partitions out: by slots, and so that few of them move. Pure. Members of
// other make are given partitions too, as if they had one slot.
import { assign, type Assignment, type Claimant } from "../../group/assign.ts"
import type { TopicPartition } from "../../Log.ts"
import { MemberAssignment, MemberMetadata } from "../wire/kafkajs.ts"
import type { Joined } from "../wire/requests.ts"

export const protocolName = "sluice"
const version = 1

export interface Advert {
  readonly topics: ReadonlyArray<string>
  readonly slots: number
  /** What it holds now, and of which generation: an older claim yields to a newer one. */
  readonly owned: ReadonlyArray<TopicPartition>
  readonly generation: number
}

export const encodeAdvert = ({ topics, slots, owned, generation }: Advert): Buffer =>
  MemberMetadata.encode({
    version,
    topics,
    userData: Buffer.from(
      JSON.stringify({
        slots,
        generation,
        owned: owned.map(({ topic, partition }) => [topic, partition]),
      }),
    ),
  })

const isPair = (value: unknown): value is readonly [string, number] =>
  Array.isArray(value) && typeof value[0] === "string" && Number.isInteger(value[1])

const isWhole = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value)

const fieldsOf = (userData: Buffer | null): Readonly<Record<string, unknown>> => {
  try {
    const fields: unknown = JSON.parse((userData ?? "{}").toString())
    return typeof fields === "object" && fields !== null ? { ...fields } : {}
  } catch {
    return {}
  }
}

const decodeAdvert = (bytes: Buffer): Advert => {
  const metadata = MemberMetadata.decode(bytes)
  const { slots, generation, owned } = fieldsOf(metadata?.userData ?? null)
  const pairs = Array.isArray(owned) ? owned.filter(isPair) : []
  return {
    topics: metadata?.topics ?? [],
    slots: isWhole(slots) && slots > 0 ? slots : 1,
    generation: isWhole(generation) ? generation : -1,
    owned: pairs.map(([topic, partition]) => ({ topic, partition })),
  }
}

/** Every topic that any member wants. */
export const topicsOf = (members: Joined["members"]): ReadonlyArray<string> => [
  ...new Set(members.flatMap(({ memberMetadata }) => decodeAdvert(memberMetadata).topics)),
]

/** By Kafka's member id. `width` is 0 of a topic that is not there. */
export const shareOut = (
  members: Joined["members"],
  width: (topic: string) => number,
): ReadonlyArray<{ readonly memberId: string; readonly memberAssignment: Buffer }> => {
  const adverts = members.map(({ memberId, memberMetadata }) => ({
    id: memberId,
    ...decodeAdvert(memberMetadata),
  }))
  const newest = Math.max(...adverts.map(({ generation }) => generation))
  const previous: Assignment = Object.fromEntries(
    adverts.map(({ id, owned, generation }) => [id, generation === newest ? owned : []]),
  )
  const partitions = topicsOf(members)
    .toSorted()
    .flatMap((topic) =>
      Array.from({ length: width(topic) }, (_, partition) => ({ topic, partition })),
    )
  const claimants: ReadonlyArray<Claimant> = adverts
  const assigned = assign(claimants, partitions, previous)
  return adverts.map(({ id }) => ({ memberId: id, memberAssignment: encodeShare(assigned[id]) }))
}

const encodeShare = (partitions: ReadonlyArray<TopicPartition> = []): Buffer => {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic)
  const assignment = Object.fromEntries(
    [...byTopic].map(([topic, list]) => [topic, list.map(({ partition }) => partition)]),
  )
  return MemberAssignment.encode({ version, assignment, userData: Buffer.alloc(0) })
}

export const decodeShare = (bytes: Buffer): ReadonlyArray<TopicPartition> =>
  Object.entries(MemberAssignment.decode(bytes)?.assignment ?? {}).flatMap(([topic, list]) =>
    list.map((partition) => ({ topic, partition })),
  )
