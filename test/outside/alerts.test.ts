// Alerts by promtool: the rules are valid, each fires where it must and not where it must not; each
// has its section in the runbook; and all are about metrics that exist and are explained.
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, beforeAll, describe, it } from "vitest"
import { parse } from "yaml"
import { expositionOf } from "../../src/telemetry/exposition.ts"
import { metricSpecs } from "../../src/telemetry/names.ts"
import { aliases } from "../../src/telemetry/vllm.ts"
import { prometheusTool } from "../support/services/tools.ts"
import { projectRoot } from "../support/shared.ts"

const run = promisify(execFile)
const folder = join(projectRoot, "ops", "docker", "prometheus")
const read = (...path: ReadonlyArray<string>) => readFileSync(join(projectRoot, ...path), "utf8")

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: { readonly runbook: string }
}

const groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }> = parse(
  read("ops", "docker", "prometheus", "alerts.yml"),
).groups
const rules = groups.flatMap((group) => group.rules)

describe("alerts", () => {
  let promtool = ""
  beforeAll(async () => {
    promtool = await prometheusTool("promtool")
  }, 180_000)

  it("are valid rules, and fire as their tests say", async () => {
    await run(promtool, ["check", "rules", "alerts.yml"], { cwd: folder })
    const { stdout } = await run(promtool, ["test", "rules", "alerts.test.yml"], { cwd: folder })
    assert.include(stdout, "SUCCESS")
  })

  it("are each tested for firing and for not firing", () => {
    const tested = new Map<string, { fires: boolean; rests: boolean }>()
    for (const { alert_rule_test: cases } of parse(read("ops/docker/prometheus/alerts.test.yml"))
      .tests) {
      for (const { alertname, exp_alerts: expected } of cases) {
        const seen = tested.get(alertname) ?? { fires: false, rests: false }
        tested.set(alertname, {
          fires: seen.fires || expected.length > 0,
          rests: seen.rests || expected.length === 0,
        })
      }
    }
    for (const { alert } of rules) {
      assert.deepStrictEqual(tested.get(alert), { fires: true, rests: true }, alert)
    }
  })

  it("have each a section in the runbook: symptom, look, do", () => {
    const sections = new Map(
      read("ops", "runbook.md")
        .split(/^## /m)
        .slice(1)
        .map((section) => [section.split("\n")[0]?.trim() ?? "", section]),
    )
    assert.deepStrictEqual([...sections.keys()].toSorted(), rules.map((r) => r.alert).toSorted())
    for (const { alert, annotations } of rules) {
      assert.strictEqual(annotations.runbook, `ops/runbook.md#${alert.toLowerCase()}`)
      for (const part of ["**Symptom.**", "**Look.**", "**Do.**"]) {
        assert.include(sections.get(alert), part, alert)
      }
    }
  })

  it("are about metrics that are recorded", () => {
    for (const { alert, expr } of rules) {
      for (const [name] of expr.matchAll(/\b(llm|sluice)_\w+/g)) {
        assert.property(metricSpecs, name.replace(/_bucket$/, ""), alert)
      }
    }
  })

  it("promtool finds nothing wrong with our own metrics", async () => {
    const ours = expositionOf([]).replace(/^# (HELP|TYPE) vllm:.*\n/gm, "")
    const checked = run(promtool, ["check", "metrics"])
    checked.child.stdin?.end(ours)
    const found = await checked.then(
      ({ stdout }) => stdout,
      (error: { readonly stdout: string }) => error.stdout,
    )
    // Names that the seed of this design set, and boards elsewhere rely on.
    const known = /llm_throughput_tokens_per_sec|llm_request_tokens/
    assert.deepStrictEqual(
      found.split("\n").filter((line) => line !== "" && !known.test(line)),
      [],
    )
  })
})

it("ops/metrics.md explains every metric, and nothing else", () => {
  const rows = [...read("ops", "metrics.md").matchAll(/^\| `(\w+)` \|(.*)\|$/gm)]
  assert.deepStrictEqual(
    rows.map(([, name]) => name).toSorted(),
    Object.keys(metricSpecs).toSorted(),
  )
  for (const [, name = "", rest = ""] of rows) {
    const cells = rest.split(" | ").map((cell) => cell.trim())
    const spec = Object.entries(metricSpecs).find(([known]) => known === name)?.[1]
    const labels = spec?.labels.map((label) => `\`${label}\``).join(", ") ?? ""
    assert.strictEqual(cells[0], labels === "" ? spec?.kind : `${spec?.kind}: ${labels}`, name)
    for (const cell of cells.slice(1, 4)) assert.isNotEmpty(cell, name)
    const theirs = Object.entries(aliases).find(([known]) => known === name)?.[1] ?? []
    for (const alias of theirs) assert.include(rest, `\`${alias.name}\``)
  }
})
