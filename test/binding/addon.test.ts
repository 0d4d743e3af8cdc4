// The addon as JavaScript sees it: types checked by path, errors by name, lifetimes. What an engine
// promises beyond that is the contract suite's.
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { afterAll, describe, expect, it } from "vitest"
import { loadNative } from "../../src/generate/engine/loadNative.ts"
import type { NativeOpenOptions, NativeSequence } from "../../src/generate/engine/native.ts"
import { readStep } from "../../src/generate/engine/stepOutput.ts"
import { projectRoot } from "../support/shared.ts"
import { talesFolder } from "../support/talesEngine.ts"

const native = loadNative()
const scratch = mkdtempSync(join(tmpdir(), "sluice-addon-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const options: NativeOpenOptions = {
  folder: talesFolder,
  dtype: "auto",
  device: "cpu",
  deviceMemory: 0.9,
  deterministic: false,
  threads: 1,
  contextTokensMax: 0,
  sequencesMax: 4,
  batchTokensMax: 64,
  chunkTokensMax: 0,
  waitingMax: 8,
  kvBytes: 32 * 2 ** 20,
  swapBytes: null,
  prefixCache: true,
  eosIds: Uint32Array.of(1, 4),
}

const sequence: NativeSequence = {
  sequence: 1,
  promptIds: Uint32Array.of(0, 300, 301),
  generatedIds: new Uint32Array(),
  maxTokens: 5,
  minTokens: 0,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  biasIds: new Uint32Array(),
  biases: new Float32Array(),
  seed: 0,
  choice: 0,
  stopTokenIds: new Uint32Array(),
  ignoreEos: true,
  logprobs: -1,
  promptLogprobs: -1,
  priority: 0,
  arrivedAtMs: 1,
  grammars: null,
  grammarKind: "",
  grammarText: "",
  cacheSalt: "",
}

const open = (changes: Partial<NativeOpenOptions> = {}) =>
  native.engineOpen(
    { ...options, ...changes },
    () => {},
    () => {},
  )

/** Runs one sequence to its end on a new engine. */
const runOnce = async (): Promise<ReadonlyArray<number>> => {
  const ids: Array<number> = []
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => void (end = resolve))
  const { handle } = await native.engineOpen(
    options,
    () => {},
    (step) => {
      if (step === null) return
      for (const entry of readStep(new Uint32Array(step)).entries) {
        ids.push(...entry.ids)
        if (entry.finish !== null) end()
      }
    },
  )
  expect(native.engineSubmit(handle, sequence)).toBeNull()
  await ended
  await native.engineClose(handle)
  return ids
}

describe("what it is", () => {
  it("was built with the headers of the Node that runs it", () => {
    const { nodeVersion } = native.nativeInfo()
    expect(nodeVersion.replace(/^v/, "").split(".")[0]).toBe(process.versions.node.split(".")[0])
  })

  it("knows its machine", () => {
    const info = native.nativeInfo()
    expect(["scalar", "avx2", "avx512"]).toContain(info.isa)
    expect(info.threads).toBeGreaterThan(0)
    expect(info.memoryAvailableBytes).toBeGreaterThan(2 ** 20)
  })
})

describe("what crosses", () => {
  it("names the field of a wrong option by its path", async () => {
    const wrong: ReadonlyArray<readonly [object, string]> = [
      [{ folder: 7 }, "engineOpen: options.folder must be a string"],
      [{ sequencesMax: -1 }, "engineOpen: options.sequencesMax must be an integer from 0"],
      [{ sequencesMax: 1.5 }, "engineOpen: options.sequencesMax must be an integer from 0"],
      [{ kvBytes: "1" }, "engineOpen: options.kvBytes must be a number"],
      [{ prefixCache: null }, "engineOpen: options.prefixCache must be a boolean"],
      [{ eosIds: [1] }, "engineOpen: options.eosIds must be a Uint32Array"],
      [{ swapBytes: undefined }, "engineOpen: options.swapBytes must be a number"],
    ]
    for (const [change, message] of wrong) {
      expect(() => open(change)).toThrow(TypeError)
      expect(() => open(change)).toThrow(message)
    }
    expect(() => Reflect.apply(native.engineOpen, null, [])).toThrow("options must be an object")
    expect(() => Reflect.apply(native.engineOpen, null, [options])).toThrow("must be a function")
  })

  it("names every missing field of a sequence", async () => {
    const { handle } = await open()
    for (const name of Object.keys(sequence)) {
      const { [name]: _, ...partial } = { ...sequence } as Record<string, unknown>
      const submit = () => Reflect.apply(native.engineSubmit, null, [handle, partial])
      expect(submit).toThrow(`engineSubmit: sequence.${name} must be`)
    }
    await native.engineClose(handle)
  })

  it("takes nothing for a handle but a handle", () => {
    for (const value of [undefined, null, {}, 1, "x"]) {
      const call = () => Reflect.apply(native.engineStats, null, [value])
      expect(call).toThrow("engineStats: handle must be an open engine's")
    }
  })

  it("reports progress in bytes", async () => {
    const reports: Array<readonly [number, number]> = []
    const { handle } = await native.engineOpen(
      options,
      (done, total) => void reports.push([done, total]),
      () => {},
    )
    await native.engineClose(handle)
    expect(reports.length).toBeGreaterThan(0)
    for (const [done, total] of reports) expect(done).toBeLessThanOrEqual(total)
  })
})

describe("what cannot be opened", () => {
  const rejected = (changes: Partial<NativeOpenOptions>) =>
    open(changes).then(
      () => null,
      (error: unknown) => error,
    )

  it("says by name what is wrong with a folder or a limit", async () => {
    writeFileSync(join(scratch, "config.json"), "{")
    expect(await rejected({ folder: join(scratch, "missing") })).toMatchObject({ name: "EngineIo" })
    expect(await rejected({ folder: scratch })).toMatchObject({ name: "EngineDamaged" })
    expect(await rejected({ dtype: "int3" })).toMatchObject({ name: "EngineInvalid" })
    expect(await rejected({ batchTokensMax: 4 })).toMatchObject({ name: "EngineInvalid" })
    expect(await rejected({ kvBytes: 100 })).toMatchObject({ name: "EngineTooLarge" })
  })
})

describe("lifetimes", () => {
  it("closes twice, and answers closed afterwards", async () => {
    const { handle } = await open()
    await Promise.all([native.engineClose(handle), native.engineClose(handle)])
    await native.engineClose(handle)
    expect(native.engineSubmit(handle, sequence)).toBe("closed")
    native.engineCancel(handle, 1)
    expect(native.engineStats(handle).running).toBe(0)
  })

  it("closes in the middle of work", async () => {
    for (let round = 0; round < 5; round++) {
      const { handle } = await open()
      for (let i = 1; i <= 8; i++) {
        native.engineSubmit(handle, { ...sequence, sequence: i, maxTokens: 500 })
      }
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      await native.engineClose(handle)
    }
  })

  it("delivers nothing after it is closed", async () => {
    let isClosed = false
    let late = 0
    const { handle } = await native.engineOpen(
      options,
      () => {},
      () => {
        if (isClosed) late++
      },
    )
    native.engineSubmit(handle, { ...sequence, maxTokens: 900 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    await native.engineClose(handle)
    isClosed = true
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(late).toBe(0)
  })

  it("ends the process where a listener throws: no step goes missing without a word", () => {
    const script = `${projectRoot}test/binding/throwingListener.ts`
    const child = spawnSync(process.execPath, [script], { encoding: "utf8" })
    expect(child.stderr).toContain("a defect in a listener")
    expect(child.status).toBe(1)
  })

  it("runs several engines in one process, each with its own sequences", async () => {
    const [a, b, c] = await Promise.all([runOnce(), runOnce(), runOnce()])
    expect(a).toHaveLength(5)
    expect(b).toEqual(a)
    expect(c).toEqual(a)
  })

  it("stops a dropped engine when its handle is collected", async () => {
    const script = childScript(`
      let { handle } = await open()
      native.engineSubmit(handle, { ...sequence, maxTokens: 900 })
      handle = null
      for (let i = 0; i < 50; i++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      console.log("collected")
    `)
    const child = spawnSync(process.execPath, ["--expose-gc", script], { encoding: "utf8" })
    // Only a stopped engine lets the loop end.
    expect([child.stdout.trim(), child.status, child.stderr]).toEqual(["collected", 0, ""])
  })

  it("survives process.exit in the middle of a step", () => {
    const script = childScript(`
      const { handle } = await open()
      for (let i = 1; i <= 8; i++) {
        native.engineSubmit(handle, { ...sequence, sequence: i, maxTokens: 900 })
      }
      setTimeout(() => process.exit(7), Number(process.argv[2]))
    `)
    for (const afterMs of [0, 5, 30]) {
      const child = spawnSync(process.execPath, [script, String(afterMs)], { encoding: "utf8" })
      expect([child.status, child.signal, child.stderr]).toEqual([7, null, ""])
    }
  })

  it("runs in two worker threads at once, ended with and without closing", async () => {
    const script = childScript(`
      const { parentPort, workerData } = await import("node:worker_threads")
      const { handle } = await open()
      native.engineSubmit(handle, { ...sequence, maxTokens: 900 })
      if (workerData === "close") await native.engineClose(handle)
      parentPort.postMessage(native.nativeInfo().isa)
    `)
    const endings = ["close", "terminate", "terminate", "close"]
    const runs = endings.map(async (ending) => {
      const worker = new Worker(script, { workerData: ending })
      const exited = new Promise((resolve) => worker.once("exit", resolve))
      const isa: unknown = await new Promise((resolve, reject) => {
        worker.once("message", resolve)
        worker.once("error", reject)
      })
      expect(isa).toBe(native.nativeInfo().isa)
      if (ending === "terminate") await worker.terminate()
      await exited
    })
    await Promise.all(runs)
    // This environment is as it was.
    expect(await runOnce()).toHaveLength(5)
  })

  it("survives a worker thread's end at any moment, while it loads and while it runs", async () => {
    const script = childScript(`
      const { handle } = await open()
      native.engineSubmit(handle, { ...sequence, maxTokens: 900 })
    `)
    for (let afterMs = 5; afterMs < 120; afterMs += 10) {
      const worker = new Worker(script)
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      await worker.terminate()
    }
    expect(await runOnce()).toHaveLength(5)
  })
})

let scripts = 0

/** A module with `native`, `open` and `sequence` in scope; gives its path. */
const childScript = (body: string): string => {
  const path = join(scratch, `child${scripts++}.mjs`)
  const plain = (value: object) =>
    `{${Object.entries(value)
      .map(([key, one]) => {
        if (one instanceof Uint32Array) return `${key}: Uint32Array.of(${one.join()})`
        if (one instanceof Float32Array) return `${key}: Float32Array.of(${one.join()})`
        return `${key}: ${JSON.stringify(one)}`
      })
      .join(",\n")}}`
  const loader = JSON.stringify(`${projectRoot}src/generate/engine/loadNative.ts`)
  writeFileSync(
    path,
    `const { loadNative } = await import(${loader})
    const native = loadNative()
    const sequence = ${plain(sequence)}
    const open = () => native.engineOpen(${plain(options)}, () => {}, () => {})
    ${body}`,
  )
  return path
}
