// `sluice quantize` on the bundled model: the folder that it writes is loaded as it is, it predicts
// text that the search has not seen nearly as well, and what cannot be is said. That the search is
// better than plain rounding is tested where activations are uneven: the bundled model's are not.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { parseArgs } from "../../src/cli/args.ts"
import { commands } from "../../src/cli/commands.ts"
import { quantizeCommand } from "../../src/cli/quantize.ts"
import { quantizedConfig } from "../../src/cli/quantizedConfig.ts"
import { allSettings, defaults } from "../../src/config/settings.ts"
import { loadNative } from "../../src/generate/engine/loadNative.ts"
import { talesFolder } from "../support/talesEngine.ts"

const scratch = mkdtempSync(join(tmpdir(), "sluice-quantize-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const run = async (...args: ReadonlyArray<string>) => {
  const command = commands.find(({ name }) => name === "quantize")
  if (command === undefined) throw new Error("there is no such command")
  const parsed = parseArgs(command, args, allSettings)
  if (!parsed.ok) throw new Error(parsed.message)
  const lines: Array<string> = []
  const output = {
    out: (line: string) => lines.push(line),
    err: (line: string) => lines.push(line),
  }
  const code = await quantizeCommand(defaults(), parsed.value, output)
  return { code, text: lines.join("\n") }
}

/** Perplexity of rows that the model wrote, before and after. */
const quantized = async (method: "awq" | "round", folder: string) => {
  const out = join(scratch, folder)
  const config: Record<string, unknown> = JSON.parse(
    readFileSync(join(talesFolder, "config.json"), "utf8"),
  )
  const written = quantizedConfig(config, method, 128)
  mkdirSync(out)
  writeFileSync(join(out, "config.json"), JSON.stringify(written))
  return loadNative().modelQuantize(
    {
      folder: talesFolder,
      outFolder: out,
      method,
      groupInputs: 128,
      threads: 0,
      ids: new Uint32Array(0),
      rowTokens: 128,
      rows: 12,
      heldOutRows: 8,
      startIds: Uint32Array.of(0),
      eosIds: Uint32Array.of(1, 4),
    },
    () => undefined,
  )
}

describe("sluice quantize", () => {
  it("makes 4 bits that predict unseen text nearly as well", async () => {
    const { perplexityBefore, perplexityAfter } = await quantized("awq", "awq")
    expect(perplexityBefore).toBeGreaterThan(1)
    expect(perplexityAfter / perplexityBefore).toBeLessThan(1.03)
  }, 240_000)

  it("writes a whole folder with a report, in 8 bits, from a text of one's own", async () => {
    const text = join(scratch, "text.txt")
    const tale =
      "Once upon a time there was a cat named Luna. She lived by the sea with her friends."
    writeFileSync(text, Array.from({ length: 120 }, () => tale).join("\n\n"))
    const out = join(scratch, "int8")
    const { code, text: said } = await run(
      ...[talesFolder, "--int8", "--calibration", text, "--out", out],
    )
    expect(said).toMatch(/perplexity {2}\d+\.\d{4} -> \d+\.\d{4}/)
    expect(code).toBe(0)
    expect(readdirSync(out)).toEqual(
      expect.arrayContaining([
        "config.json",
        "model.safetensors",
        "quantize.json",
        "tokenizer.json",
      ]),
    )
    const report: Record<string, number> = JSON.parse(
      readFileSync(join(out, "quantize.json"), "utf8"),
    )
    const before = report["perplexityBefore"] ?? 0
    expect(Math.abs((report["perplexityAfter"] ?? 0) / before - 1)).toBeLessThan(0.01)
    expect(readdirSync(scratch).filter((name) => name.includes(".part-"))).toEqual([])
  }, 60_000)

  it("refuses what cannot be, and leaves nothing behind", async () => {
    const out = join(scratch, "never")
    const refused = async (...args: ReadonlyArray<string>) => run(...args, "--out", out)
    expect((await run()).text).toContain("name the folder of a model")
    expect((await refused(talesFolder, "--bits", "3")).text).toContain("--bits 3 cannot be")
    expect((await refused(talesFolder, "--group", "100")).text).toContain("one of 128, 64, 32")
    expect((await refused(talesFolder, "--awq", "--int8")).text).toContain("exclude each other")
    const short = join(scratch, "short.txt")
    writeFileSync(short, "Once upon a time.")
    const tooShort = await refused(talesFolder, "--calibration", short)
    expect(tooShort.code).toBe(1)
    expect(tooShort.text).toContain("at least 1024 are needed")
    expect((await run(talesFolder, "--out", scratch)).text).toContain("is there already")
    expect(existsSync(out)).toBe(false)
  }, 60_000)
})
