// The thread that writes: each call is one durable transaction, so that an fsync never holds up the
// thread that serves. It keeps nothing between calls: what it knows is in the store, where other
// processes' writers change it too.
import { parentPort, workerData } from "node:worker_threads"
import { emptyGroup } from "../group/groupState.ts"
import { LogFailure } from "../LogFailure.ts"
import { appendChunks } from "./appendChunks.ts"
import { writeCommits, writeGroupChange } from "./groupTable.ts"
import { retain } from "./retain.ts"
import { openStore, type Store } from "./Store.ts"
import { createTopics } from "./topicTable.ts"
import type { AppendCall, WriterCall, WriterData, WriterReply } from "./writerCalls.ts"

const done: WriterReply = { failure: null, offsets: [], group: emptyGroup, more: false }

/** A failure thrown within a transaction makes LMDB forget the transaction. */
const orThrow = <A>(value: A | LogFailure): A => {
  if (value instanceof LogFailure) throw value
  return value
}

/** LMDB reports a disk without room by these; everything else is unavailable. */
const fullCodes = ["ENOSPC", "EDQUOT", "EFBIG", "MDB_MAP_FULL"]
const fullTexts = /no space|file too large|quota|map_full/i

const failureOf = (error: unknown): LogFailure => {
  if (error instanceof LogFailure) return error
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  const full = fullCodes.includes(code) || fullTexts.test(message)
  return new LogFailure(full ? "full" : "unavailable", `The log could not write: ${message}.`)
}

/** Once more after making room, where retention can make some. */
const appendOrMakeRoom = (
  store: Store,
  call: AppendCall,
  footprintMax: number,
): ReadonlyArray<number> => {
  const first = store.env.transactionSync(() => appendChunks(store, call, footprintMax))
  if (!(first instanceof LogFailure)) return first
  while (store.env.transactionSync(() => retain(store, call.now)));
  return store.env.transactionSync(() => orThrow(appendChunks(store, call, footprintMax)))
}

const perform = (store: Store, call: WriterCall, footprintMax: number): WriterReply => {
  const { env } = store
  switch (call.kind) {
    case "append":
      return { ...done, offsets: appendOrMakeRoom(store, call, footprintMax) }
    case "createTopics":
      env.transactionSync(() => orThrow(createTopics(store, call.specs)))
      return done
    case "changeGroup": {
      const { group, change } = call
      return { ...done, group: env.transactionSync(() => writeGroupChange(store, group, change)) }
    }
    case "commit":
      env.transactionSync(() => writeCommits(store, call.fence, call.commits))
      return done
    case "retain":
      // Slots of readers that died keep old pages from being used again.
      env.readerCheck()
      return { ...done, more: env.transactionSync(() => retain(store, call.now)) }
    case "close":
      void env.close()
      return done
  }
}

const replyTo = (work: () => WriterReply): WriterReply => {
  try {
    return work()
  } catch (error) {
    const { reason, message } = failureOf(error)
    return { ...done, failure: { reason, message } }
  }
}

/** The first message says whether the store is open. */
const serve = (data: WriterData): void => {
  const store = openStore(data.folder, data.mapBytes)
  if (store instanceof LogFailure) {
    parentPort?.postMessage(replyTo(() => orThrow<WriterReply>(store)))
    return
  }
  parentPort?.on("message", (call: WriterCall) => {
    parentPort?.postMessage(replyTo(() => perform(store, call, data.mapBytes)))
    if (call.kind === "close") parentPort?.close()
  })
  parentPort?.postMessage(done)
}

serve(workerData)
