// The engine for GPUs as a process meets it, with a GPU or without one: it is found beside the
// addon, says what it found, and the CPU serves where it cannot.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { loadNative } from "../../src/generate/engine/loadNative.ts"
import { openNative } from "../../src/generate/engine/NativeEngine.ts"
import { talesOptions } from "../support/talesEngine.ts"

const findings = loadNative().nativeDevices()
const isUsable = (name: string) => findings.find((one) => one.name === name)?.usable ?? false
const hasDevice = isUsable("device")

describe("the engine for GPUs", () => {
  it("loads, and says of each thing that it needs what it found", () => {
    assert.isTrue(isUsable("engine"), JSON.stringify(findings))
    assert.includeMembers(
      findings.map(({ name }) => name),
      ["engine", "driver", "device", "cuBLASLt", "NVML", "NCCL"],
    )
    for (const { name, text } of findings) assert.isAbove(text.length, 5, name)
  })

  it.effect("asked for by name, it runs the model or says in one line why not", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.map(openNative({ ...talesOptions, device: "cuda" }), ({ info }) => info.device),
        ),
      )
      if (hasDevice) assert.isTrue(Exit.isSuccess(exit))
      else {
        assert.isTrue(Exit.isFailure(exit))
        assert.match(String(exit), /device: (no NVIDIA driver|CUDA driver|none is visible)/)
      }
    }),
  )

  it.effect("left to choose, a machine without a GPU runs the model on its CPU", () =>
    Effect.gen(function* () {
      const { info, devices } = yield* openNative({ ...talesOptions, device: "auto" })
      assert.match(info.device, hasDevice ? /^cuda/ : /^cpu/)
      if (!hasDevice) assert.isEmpty(devices())
    }),
  )
})
