// What members tell one another through Kafka's group protocol, and how the one that Kafka makes
// the leader shares the partitions out: by slots, and so that few of them move. Pure. Members of
// other make are given partitions too, as if they had one slot.
import { assign, type Assignment, type Claimant } from "../../group/assign.ts"
import type { TopicPartition } from "../../Log.ts"
import { MemberAssignment, MemberMetadata } from "../wire/kafkajs.ts"
import type { Joined } from "../wire/requests.ts"
import type { Neighbour, Post } from "./Vigil.ts"

export const protocolName = "sluice"
const version = 1

export interface Advert {
  readonly topics: ReadonlyArray<string>
  readonly slots: number
  /** What it holds now, and of which generation: an older claim yields to a newer one. */
  readonly owned: ReadonlyArray<TopicPartition>
  readonly generation: number
  /** Where it can be watched; null: nowhere. */
  readonly post: Post | null
}

/** What a member is given: its partitions, and whom it watches over. */
export interface Share {
  readonly partitions: ReadonlyArray<TopicPartition>
  readonly neighbours: ReadonlyArray<Neighbour>
}

/** Each is watched by so many: enough that one of them lives when it dies. */
const neighboursMax = 8

export const encodeAdvert = ({ topics, slots, owned, generation, post }: Advert): Buffer =>
  MemberMetadata.encode({
    version,
    topics,
    userData: Buffer.from(
      JSON.stringify({
        slots,
        generation,
        post,
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

const postOf = (value: unknown): Post | null => {
  if (typeof value !== "object" || value === null) return null
  const { host, port, name }: Readonly<Record<string, unknown>> = { ...value }
  const isPort = isWhole(port) && port > 0 && port < 65_536
  return typeof host === "string" && isPort && typeof name === "string"
    ? { host, port, name }
    : null
}

const decodeAdvert = (bytes: Buffer): Advert => {
  const metadata = MemberMetadata.decode(bytes)
  const { slots, generation, owned, post } = fieldsOf(metadata?.userData ?? null)
  const pairs = Array.isArray(owned) ? owned.filter(isPair) : []
  return {
    topics: metadata?.topics ?? [],
    slots: isWhole(slots) && slots > 0 ? slots : 1,
    generation: isWhole(generation) ? generation : -1,
    owned: pairs.map(([topic, partition]) => ({ topic, partition })),
    post: postOf(post),
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
  const watched = adverts.flatMap(({ id, post }) => (post === null ? [] : { memberId: id, post }))
  return adverts.map(({ id }) => {
    const share = { partitions: assigned[id] ?? [], neighbours: neighboursOf(id, watched) }
    return { memberId: id, memberAssignment: encodeShare(share) }
  })
}

/** Those that come after it in a ring. */
const neighboursOf = (id: string, watched: ReadonlyArray<Neighbour>): ReadonlyArray<Neighbour> => {
  const others = watched
    .filter(({ memberId }) => memberId !== id)
    .toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const after = others.filter(({ memberId }) => memberId > id)
  return [...after, ...others.slice(0, others.length - after.length)].slice(0, neighboursMax)
}

const encodeShare = ({ partitions, neighbours }: Share): Buffer => {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic)
  const assignment = Object.fromEntries(
    [...byTopic].map(([topic, list]) => [topic, list.map(({ partition }) => partition)]),
  )
  const userData = Buffer.from(JSON.stringify({ neighbours }))
  return MemberAssignment.encode({ version, assignment, userData })
}

export const decodeShare = (bytes: Buffer): Share => {
  const decoded = MemberAssignment.decode(bytes)
  const { neighbours } = fieldsOf(decoded?.userData ?? null)
  return {
    partitions: Object.entries(decoded?.assignment ?? {}).flatMap(([topic, list]) =>
      list.map((partition) => ({ topic, partition })),
    ),
    neighbours: Array.isArray(neighbours) ? neighbours.flatMap(neighbourOf) : [],
  }
}

const neighbourOf = (value: unknown): ReadonlyArray<Neighbour> => {
  if (typeof value !== "object" || value === null) return []
  const { memberId, post }: Readonly<Record<string, unknown>> = { ...value }
  const seen = postOf(post)
  return typeof memberId === "string" && seen !== null ? [{ memberId, post: seen }] : []
}
