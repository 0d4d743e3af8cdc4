// The consumer groups of a data folder, as this process sees them: changes and commits go to the
// writer thread, states are read from the map, and members of this process hear of changes made
// anywhere.
import { Effect } from "effect"
import type { AppendRecord, TopicPartition } from "../Log.ts"
import type { GroupMember } from "../group/GroupMember.ts"
import type { GroupStore } from "../group/GroupStore.ts"
import { emptyGroup, type GroupState } from "../group/groupState.ts"
import type { Reader } from "./Reader.ts"
import type { Store } from "./Store.ts"
import { parseGroup, readCommitted, readGroupBytes } from "./groupTable.ts"
import type { Writer } from "./Writer.ts"

export interface EmbeddedGroupsOptions {
  readonly store: Store
  readonly reader: Reader
  readonly writer: Writer
  /** A group has a new generation: other processes should look. */
  readonly changed: () => void
}

interface Seen {
  readonly bytes: Buffer | null
  readonly state: GroupState
}

export class EmbeddedGroups implements GroupStore {
  readonly members = new Set<GroupMember>()
  readonly #options: EmbeddedGroupsOptions
  readonly #seen = new Map<string, Seen>()

  constructor(options: EmbeddedGroupsOptions) {
    this.#options = options
  }

  /** Parsed again only where its bytes have changed: members look at every wake-up. */
  readonly state: GroupStore["state"] = (group) => {
    const { reader, store } = this.#options
    reader.renew()
    const bytes = readGroupBytes(store, group)
    const seen = this.#seen.get(group)
    if (seen !== undefined && same(seen.bytes, bytes)) return seen.state
    const state = bytes === null ? emptyGroup : parseGroup(bytes)
    this.#seen.set(group, { bytes, state })
    return state
  }

  readonly change: GroupStore["change"] = (group, change) =>
    Effect.suspend(() => {
      const { generation } = this.state(group)
      return Effect.map(
        this.#options.writer.call({ kind: "changeGroup", group, change }),
        (reply) => {
          if (reply.group.generation !== generation) {
            this.#options.changed()
            setImmediate(() => this.refresh())
          }
          return reply.group
        },
      )
    })

  readonly commit: GroupStore["commit"] = (fence, commits) =>
    Effect.asVoid(this.#options.writer.call({ kind: "commit", fence, commits }))

  readonly committed: GroupStore["committed"] = (group, partition) => {
    const { reader, store } = this.#options
    reader.renew()
    return readCommitted(store, group, partition)
  }

  /** These are about to be committed, by this process or another. */
  early(partition: TopicPartition, records: ReadonlyArray<AppendRecord>): void {
    for (const member of this.members) member.early(partition, records)
  }

  /** Groups may have changed. */
  refresh(): void {
    for (const member of this.members) member.refresh()
  }
}

const same = (a: Buffer | null, b: Buffer | null): boolean =>
  a === null || b === null ? a === b : a.equals(b)
