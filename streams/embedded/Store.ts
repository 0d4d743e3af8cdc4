// The LMDB environment of a data folder: its tables, and whether the folder is one that this
// version may open. Opened twice in a process: by the writer thread, the only one that writes, and
// by the thread that reads. A folder of another format, a foreign or a cut file is refused before
// LMDB maps it.
import { mkdirSync } from "node:fs"
import { type Database, open, type RootDatabase } from "lmdb"
import { LogFailure } from "../LogFailure.ts"
import { logFormat } from "./format.ts"
import { inspectDataFile } from "./inspectDataFile.ts"

type Table = Database<Buffer, Buffer>

export interface Store {
  readonly env: RootDatabase<Buffer, Buffer>
  /** chunkKey -> chunk. */
  readonly chunks: Table
  /** partitionStateKey -> PartitionState. */
  readonly partitions: Table
  /**
   * partitionStateKey and a record's key, of compacted topics -> the offset of its newest record.
   */
  readonly latest: Table
  /** Topic name -> JSON of TopicRow. */
  readonly topics: Table
  /** Group name -> JSON of GroupState. */
  readonly groups: Table
  /** commitKey -> offset. */
  readonly commits: Table
  /** "format", and "footprint": the sum over all chunks. */
  readonly meta: Table
}

/**
 * LMDB grows its map when it must; that much room above the bound means that it hardly ever has to.
 */
const mapRoom = 1.25

const tablesMax = 16

const binary = { encoding: "binary", keyEncoding: "binary" } as const

export const metaKey = (name: "format" | "footprint"): Buffer => Buffer.from(name)

const openTables = (folder: string, mapBytes: number): Store => {
  const env = open<Buffer, Buffer>({
    path: folder,
    ...binary,
    mapSize: Math.ceil((mapBytes * mapRoom) / 4096) * 4096,
    maxDbs: tablesMax,
    cache: false,
    // A commit is visible to readers only once it is durable.
    overlappingSync: false,
  })
  const table = (name: string): Table => env.openDB<Buffer, Buffer>({ name, ...binary })
  return {
    env,
    chunks: table("chunks"),
    partitions: table("partitions"),
    latest: table("latest"),
    topics: table("topics"),
    groups: table("groups"),
    commits: table("commits"),
    meta: table("meta"),
  }
}

const checkFormat = (store: Store, folder: string): LogFailure | null => {
  const found = store.meta.get(metaKey("format"))?.toString()
  if (found === logFormat) return null
  if (found === undefined && isEmpty(store)) {
    store.env.transactionSync(() => {
      store.meta.put(metaKey("format"), Buffer.from(logFormat))
    })
    return null
  }
  const is = found === undefined ? "no log of Sluice's" : `of format "${found}"`
  return new LogFailure(
    "otherFormat",
    `${folder} is ${is}; this version of Sluice reads "${logFormat}" only.`,
  )
}

/**
 * The environment's own keys are its tables' names: more of them than ours were put there by
 * others.
 */
const isEmpty = (store: Store): boolean => {
  for (const table of [store.chunks, store.topics, store.meta]) {
    if (table.getKeysCount({ limit: 1 }) > 0) return false
  }
  return store.env.getKeysCount({ limit: tablesMax }) <= 7
}

const unavailable = (folder: string, error: unknown) =>
  new LogFailure("unavailable", `The log's folder ${folder} cannot be opened: ${describe(error)}.`)

const describe = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

export const openStore = (folder: string, mapBytes: number): Store | LogFailure => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const unsound = inspectDataFile(folder)
    if (unsound !== null) return unsound
    const store = openTables(folder, mapBytes)
    const wrong = checkFormat(store, folder)
    if (wrong === null) return store
    void store.env.close()
    return wrong
  } catch (error) {
    return unavailable(folder, error)
  }
}
