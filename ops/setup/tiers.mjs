// The tiers of `npm test`, in the order in which they run: cheap and telling first. A tier is one
// or more commands; `skip` says why this machine cannot run it.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { cudaHome } from "./cuda.mjs"
import { answers, root } from "./house.mjs"

const bin = (name) => join(root, "node_modules", ".bin", name)
const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
const ops = (name) => join(root, "ops", "setup", name)

const tests = (name, what, minutesMax, extra = {}) => ({
  name,
  what,
  minutesMax,
  steps: (node) => [
    { name, kind: "vitest", command: node, args: [vitest, "run", `test/${name}/`] },
  ],
  ...extra,
})

const make = (mode, ...rest) => ["-C", "test/native", `MODE=${mode}`, "-j2", ...rest]

const build = (mode) => join("native", "build", `test-${mode}`)

const hasMakeAndCompiler = () =>
  answers("make", ["--version"]) !== null && answers("g++", ["--version"]) !== null

const servers = [
  ["java", ["-version"], "Java 17"],
  ["mvn", ["-v"], "Maven"],
  ["redis-server", ["--version"], "Redis"],
]

const tools = [
  ["kcat", ["-V"], "kcat"],
  ["python3", ["-m", "venv", "--help"], "Python with venv"],
  ["docker-compose", ["version"], "docker-compose"],
]

/** What is missing of these; null where nothing is. */
const missingOf = (wanted) => () => {
  const missing = wanted.filter(([command, args]) => answers(command, args) === null)
  if (missing.length === 0) return null
  return `it needs ${missing.map(([, , name]) => name).join(", ")}`
}

const fuzzSeconds = 10

const has = (...parts) => existsSync(join(root, ...parts))

/** Models that are not in the repository; what is not there is not asked for. */
const goldenModels = [
  join("..", "shared", "models"),
  ...(has(".cache", "smollm2", "config.json") ? [join(".cache", "smollm2")] : []),
]

/** Programs beside the tests: what a sanitizer is for, and what would take too long under one. */
const programs = {
  asan: [{ name: "fuzz", kind: "exit", program: "fuzz", args: [String(fuzzSeconds)] }],
  release: has("..", "shared", "models")
    ? [{ name: "golden ids", kind: "exit", program: "golden", args: goldenModels }]
    : [],
}

/** Those that need a log and nothing else; the others kill, hang and restart what they started. */
const onGivenKafka = ["contract", "gateways", "deadLetters"].map((name) =>
  join("test", "kafka", `${name}.test.ts`),
)

const onOwnServers = tests("kafka", "the log, limits and processes on real servers", 25)

/** SLUICE_TEST_KAFKA=host:port is a Kafka for the tests where this machine cannot run its own. */
const kafka = {
  ...onOwnServers,
  skip: () => {
    const missing = missingOf(servers)()
    if (missing === null || process.env.SLUICE_TEST_KAFKA !== undefined) return null
    return `${missing}, or a Kafka at SLUICE_TEST_KAFKA=host:port`
  },
  steps: (node) => {
    if (missingOf(servers)() === null) return onOwnServers.steps(node)
    const args = [vitest, "run", ...onGivenKafka]
    return [{ name: "kafka, what needs only a log", kind: "vitest", command: node, args }]
  },
}

export const tiers = [
  {
    name: "check",
    what: "types, lint, format, and the rules of test/tidy.test.ts",
    minutesMax: 5,
    steps: (node) => [
      { name: "types", kind: "exit", command: bin("tsc"), args: ["--noEmit", "-p", "."] },
      {
        name: "types of the console",
        kind: "exit",
        command: bin("tsc"),
        args: ["-p", "tsconfig.console.json"],
      },
      { name: "lint", kind: "exit", command: bin("oxlint"), args: ["--deny-warnings"] },
      {
        name: "format",
        kind: "exit",
        command: bin("prettier"),
        args: ["--check", "--log-level", "warn", "."],
      },
      { name: "native format", kind: "exit", command: node, args: [ops("clangFormat.mjs")] },
      {
        name: "tidy",
        kind: "vitest",
        command: node,
        args: [vitest, "run", "test/tidy.test.ts"],
      },
    ],
  },
  {
    name: "native",
    what: "C++ tests, plain and under the address and undefined-behaviour sanitizers, and fuzzing",
    minutesMax: 20,
    skip: () => (hasMakeAndCompiler() ? null : "it needs make and g++"),
    steps: () =>
      ["release", "asan"].flatMap((mode) => [
        { name: `${mode} build`, kind: "exit", command: "make", args: make(mode, "all") },
        { name: `${mode} tests`, kind: "native", command: join(build(mode), "native_test") },
        ...programs[mode].map((step) => ({ ...step, command: join(build(mode), step.program) })),
      ]),
  },
  {
    name: "cuda",
    what: "the engine for GPUs compiles, spills no registers, loads, and says that there is no GPU",
    minutesMax: 40,
    skip: () => (cudaHome() === null ? "it needs a CUDA compiler: npm run cuda:toolchain" : null),
    steps: (node) => [
      { name: "cuda build", kind: "exit", command: node, args: [ops("cuda.mjs")] },
      {
        name: "no spills",
        kind: "exit",
        command: "make",
        args: ["-s", "-C", "native", "-f", "cuda.mk", `CUDA_HOME=${cudaHome()}`, "check"],
      },
      { name: "cuda", kind: "vitest", command: node, args: [vitest, "run", "test/cuda/"] },
    ],
  },
  tests("unit", "one decision at a time", 5),
  tests("contract", "one suite over every adapter of a port", 5),
  tests("binding", "the addon as JavaScript sees it", 5),
  tests("golden", "ids, templates and bytes that must never change", 10),
  tests("pipeline", "stages together in one process", 10),
  tests("simulation", "whole deployments under simulated faults, and every guard removed once", 20),
  kafka,
  tests(
    "outside",
    "the topics by kcat, Python and kafkajs as README says; docker-compose.yml",
    10,
    {
      skip: missingOf([...servers, ...tools]),
    },
  ),
  tests("browser", "the console's page in Chromium", 5, {
    skip: missingOf([["chromium", ["--version"], "Chromium (Debian: chromium)"]]),
  }),
  tests("conformance", "clients of others, unmodified, against a running server", 10),
  tests("fault", "kill -9 and other accidents", 15),
  tests("pack", "the published package, installed in an empty folder", 10),
]
