// The thread that writes: each call is one durable transaction, so that an fsync never holds up the
// thread that serves. It keeps nothing between calls: what it knows is in the store, where other
// processes' writers change it too.
import { statfsSync } from "node:fs"
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
const fullTexts = /no space|file too large|quota|map_full/i
/**
 * A write that was cut short is an "Input/output error" to LMDB; with so little left it means full.
 */
const freeBytesMin = 1024 * 1024

const isDiskFull = (folder: string): boolean => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize < freeBytesMin
}

const failureOf = (error: unknown, folder: string): LogFailure => {
  if (error instanceof LogFailure) return error
  const message = error instanceof Error ? error.message : String(error)
  const full = fullTexts.test(message) || isDiskFull(folder)
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

const replyTo = (folder: string, work: () => WriterReply): WriterReply => {
  try {
    return work()
  } catch (error) {
    const { reason, message } = failureOf(error, folder)
    return { ...done, failure: { reason, message } }
  }
}

/** The first message says whether the store is open. */
const serve = (data: WriterData): void => {
  const store = openStore(data.folder, data.mapBytes)
  if (store instanceof LogFailure) {
    parentPort?.postMessage(replyTo(data.folder, () => orThrow<WriterReply>(store)))
    return
  }
  parentPort?.on("message", (call: WriterCall) => {
    parentPort?.postMessage(replyTo(data.folder, () => perform(store, call, data.mapBytes)))
    if (call.kind === "close") parentPort?.close()
  })
  parentPort?.postMessage(done)
}

serve(workerData)
