// Starts the worker of `sluice serve` as the very first thing: it loads its modules while this
// thread loads its own, which is most of a start. It gets its settings once they are read, and what
// it says before anybody listens is kept. It is a thread; in development a process of its own, so
// that it can be killed as a process is. Imports nothing that takes time.
import { fork } from "node:child_process"
import { Worker } from "node:worker_threads"
import type { ConfigShape } from "../config/Config.ts"
import type { MetricsSnapshot } from "../telemetry/Metrics.ts"

/** What the thread says. */
export type ThreadWord =
  | { readonly kind: "ready"; readonly device: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "measured"; readonly snapshot: MetricsSnapshot }

/** What it is asked: to begin, to end gracefully, or for its metrics, in the asking's order. */
export type ThreadAsk =
  | { readonly kind: "begin"; readonly config: ConfigShape }
  | { readonly kind: "stop" }
  | { readonly kind: "measure" }

/** A word, or why there will be no more. */
export type ThreadNews =
  { readonly word: ThreadWord } | { readonly died: string } | { readonly ended: true }

export interface StartedThread {
  /** Whether it can be killed and leaves nothing behind. */
  readonly isProcess: boolean
  readonly ask: (what: ThreadAsk) => void
  /** Called with all news from the start on; once. */
  readonly listen: (onNews: (news: ThreadNews) => void) => void
  readonly terminate: () => Promise<number>
}

/** Beside this file, in the language in which this file runs. */
const threadFile = () => {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js"
  return new URL(`./workerMain.${suffix}`, import.meta.url)
}

/** Keeps the news until somebody listens. */
const kept = () => {
  const early: Array<ThreadNews> = []
  let tell = (news: ThreadNews): void => void early.push(news)
  return {
    tell: (news: ThreadNews) => tell(news),
    listen: (onNews: (news: ThreadNews) => void) => {
      tell = onNews
      early.splice(0).forEach(onNews)
    },
  }
}

export const startThread = (): StartedThread => {
  const worker = new Worker(threadFile())
  const { tell, listen } = kept()
  worker.on("message", (word: ThreadWord) => tell({ word }))
  worker.on("error", (error: Error) => tell({ died: error.message }))
  worker.on("exit", () => tell({ ended: true }))
  return {
    isProcess: false,
    ask: (what) => worker.postMessage(what),
    listen,
    terminate: () => worker.terminate(),
  }
}

/** The same in a process. What it is asked after its end goes nowhere. */
export const startProcess = (): StartedThread => {
  const child = fork(threadFile(), { serialization: "advanced" })
  const { tell, listen } = kept()
  const ended = new Promise<number>((resolve) => {
    child.once("error", (error) => tell({ died: error.message }))
    child.once("exit", (code) => {
      tell({ ended: true })
      resolve(code ?? 0)
    })
  })
  child.on("message", (word: ThreadWord) => tell({ word }))
  return {
    isProcess: true,
    ask: (what) => void (child.connected && child.send(what, () => {})),
    listen,
    terminate: () => {
      child.kill("SIGKILL")
      return ended
    },
  }
}
