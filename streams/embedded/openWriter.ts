// Starts the writer thread on a data folder and waits until it has opened it, or says why it
// cannot.
import { Worker } from "node:worker_threads"
import { Effect } from "effect"
import { LogError } from "../Log.ts"
import type { WriterData, WriterReply } from "./writerCalls.ts"

/** Beside this file, in the language in which this file runs. */
const threadFile = () => {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js"
  return new URL(`./writerThread.${suffix}`, import.meta.url)
}

export const openWriter = (data: WriterData): Effect.Effect<Worker, LogError> =>
  Effect.callback((resume) => {
    const worker = new Worker(threadFile(), { workerData: data })
    const settle = (outcome: Effect.Effect<Worker, LogError>) => {
      worker.off("error", end).off("exit", end).off("message", begin)
      resume(outcome)
    }
    const fail = (error: LogError) => {
      void worker.terminate()
      settle(Effect.fail(error))
    }
    const end = (cause: unknown) => {
      const why = cause instanceof Error ? cause.message : `exit code ${cause}`
      const message = `The log's writer did not start: ${why}.`
      fail(new LogError({ reason: "unavailable", message }))
    }
    const begin = ({ failure }: WriterReply) => {
      if (failure === null) settle(Effect.succeed(worker))
      else fail(new LogError(failure))
    }
    worker.on("error", end).on("exit", end).on("message", begin)
  })
