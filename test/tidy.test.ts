// The rules of the house, as tests: who may import whom, sizes, words, and what must be beside
// what. Each rule gives the list of its offenders, so that a failure says what to mend.
// CONTRIBUTING.md says why the rules are what they are.
import { execFileSync } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { projectRoot } from "./support/shared.ts"
import { includesOf, nativeFunctions } from "./support/tidy/nativeSyntax.ts"
import {
  allFiles,
  isGenerated,
  linesOf,
  markdown,
  native,
  product,
  scripts,
  textOf,
  typescript,
} from "./support/tidy/sources.ts"
import { resolveImport, syntaxOf } from "./support/tidy/syntax.ts"
import { mayImport, walls } from "./support/tidy/walls.ts"

const none = (offenders: ReadonlyArray<string>) => assert.deepStrictEqual(offenders, [])

const isTest = (path: string) => path.startsWith("test/")

/** "src/api/parse/x.ts" -> "api"; "" outside of src/. */
const stageOf = (path: string) => /^src\/(\w+)\//.exec(path)?.[1] ?? ""

const importsOf = (path: string) =>
  syntaxOf(path).imports.map(({ from }) => resolveImport(path, from))

describe("imports", () => {
  it("no stage imports another, except that api calls enqueue and relay", () => {
    none(
      product.flatMap((path) =>
        importsOf(path)
          .filter((to) => to.startsWith("src/") && stageOf(to) !== stageOf(path))
          .filter((to) => !(mayImport[stageOf(path)] ?? []).includes(stageOf(to)))
          .map((to) => `${path} imports ${to}`),
      ),
    )
  })

  it("schemas import nothing of ours, streams only schemas, and no port its adapters", () => {
    none(
      product.flatMap((path) => {
        const adapters = /^streams\/(embedded|memory|kafka)\//
        const forbidden = path.startsWith("schemas/")
          ? /^(streams|src|test)\//
          : path.startsWith("streams/")
            ? /^(src|test)\//
            : /^test\//
        return importsOf(path)
          .filter(
            (to) =>
              forbidden.test(to) ||
              (adapters.test(to) && !adapters.test(path) && stageOf(path) !== "cli"),
          )
          .map((to) => `${path} imports ${to}`)
      }),
    )
  })

  it("the fold is pure: it imports schemas and itself only", () => {
    none(
      product
        .filter((path) => path.startsWith("streams/fold/"))
        .flatMap((path) =>
          importsOf(path)
            .filter((to) => !/^(schemas|streams\/fold)\//.test(to))
            .map((to) => `${path} imports ${to}`),
        ),
    )
  })

  it("each package stays behind its wall", () => {
    none(
      product.flatMap((path) =>
        importsOf(path)
          .filter((to) => walls.some(([name, within]) => name.test(to) && !within.test(path)))
          .map((to) => `${path} imports ${to}`),
      ),
    )
  })

  it("only src/generate/engine loads the addon", () => {
    none(
      product
        .filter((path) => !path.startsWith("src/generate/engine/"))
        .filter((path) => /process\.dlopen|\.node["'`]/.test(textOf(path))),
    )
  })

  it("native folders include only to the right", () => {
    const order = ["addon", "engine", "model", "kernels", "runtime"]
    const rank = (path: string) => order.indexOf(path.split("/")[0] ?? "")
    none(
      native
        .filter((path) => path.startsWith("native/"))
        .flatMap((path) =>
          includesOf(path)
            .filter((to) => rank(to) >= 0 && rank(to) < rank(path.slice("native/".length)))
            .map((to) => `${path} includes ${to}`),
        ),
    )
  })

  it("only native/addon knows Node, only kernels and runtime know CUDA", () => {
    const cuda = /^(cuda|cublas|nccl)/
    const knowsCuda = /^native\/(kernels\/.*\.cuh?$|runtime\/)|^test\/(bench\/)?gpu\//
    none(
      native.flatMap((path) =>
        includesOf(path)
          .filter(
            (to) =>
              (/napi\.h$|^node_api/.test(to) && !path.startsWith("native/addon/")) ||
              (cuda.test(to) && !knowsCuda.test(path)),
          )
          .map((to) => `${path} includes ${to}`),
      ),
    )
  })

  it("every file of the product is imported, or is where something starts", () => {
    const starts = new Set(["src/cli/main.ts", "src/client/client.ts", "schemas/generate.ts"])
    const imported = new Set(typescript.flatMap(importsOf))
    const threads = product.flatMap((path) =>
      [...textOf(path).matchAll(/["'`](\.[\w./]*\/\w+)(?:\.(?:ts|\$\{\w+\}))?["'`]/g)].map(
        ([, to]) => `${resolveImport(path, to ?? "")}.ts`,
      ),
    )
    const reached = new Set([...starts, ...imported, ...threads])
    none(product.filter((path) => !reached.has(path)))
  })

  it("every export is imported by somebody", () => {
    const used = new Set(
      typescript.flatMap((path) =>
        syntaxOf(path).imports.flatMap(({ from, names }) =>
          names.map((name) => `${resolveImport(path, from)}#${name}`),
        ),
      ),
    )
    const published = ["schemas/generate.ts", "src/client/client.ts"]
    none(
      product
        .filter((path) => !published.includes(path))
        .flatMap((path) =>
          syntaxOf(path)
            .exports.filter((name) => !used.has(`${path}#${name}`) && !used.has(`${path}#*`))
            // A type that only this file names is part of what its other exports are.
            .filter((name) => !new RegExp(`(interface|type) ${name}\\b`).test(textOf(path)))
            .map((name) => `${path}: ${name}`),
        ),
    )
  })
})

describe("sizes", () => {
  const tooLong = (paths: ReadonlyArray<string>, linesMax: number) =>
    paths
      .map((path) => [path, linesOf(path).length] as const)
      .filter(([, lines]) => lines > linesMax)
      .map(([path, lines]) => `${path}: ${lines} lines, ${linesMax} at most`)

  it("files", () => {
    none([
      ...tooLong([...product, ...scripts], 300),
      ...tooLong(typescript.filter(isTest), 400),
      ...tooLong(
        native.filter((path) => !path.endsWith(".cu") && !path.endsWith("_test.cc")),
        450,
      ),
      ...tooLong(
        native.filter((path) => path.endsWith(".cu") || path.endsWith("_test.cc")),
        500,
      ),
    ])
  })

  it("lines", () => {
    none(
      [...typescript, ...scripts, ...native].flatMap((path) =>
        linesOf(path).flatMap((line, index) => (line.length > 100 ? [`${path}:${index + 1}`] : [])),
      ),
    )
  })

  it("functions", () => {
    const isSuite = (path: string, line: number) =>
      isTest(path) && /\b(describe|layer|test|it)\b/.test(linesOf(path)[line - 1] ?? "")
    const limit = (isConstructor: boolean) => (isConstructor ? 100 : 70)
    none([
      ...typescript.flatMap((path) =>
        syntaxOf(path)
          .functions.filter((one) => one.lines > limit(one.isConstructor))
          .filter((one) => !isSuite(path, one.line))
          .map((one) => `${path}:${one.line} ${one.name}: ${one.lines} lines`),
      ),
      ...native.flatMap((path) =>
        nativeFunctions(path)
          .filter((one) => one.lines > 70)
          .map((one) => `${path}:${one.line} ${one.name}: ${one.lines} lines`),
      ),
    ])
  })

  it("parameters", () => {
    none([
      ...typescript.flatMap((path) =>
        syntaxOf(path)
          .functions.filter((one) => one.parameters > 4)
          .map((one) => `${path}:${one.line} ${one.name}: ${one.parameters}`),
      ),
      ...native.flatMap((path) =>
        nativeFunctions(path)
          .filter((one) => one.parameters > 4)
          .map((one) => `${path}:${one.line} ${one.name}: ${one.parameters}`),
      ),
    ])
  })

  it("the repository stays small", () => {
    const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: projectRoot, encoding: "utf8" })
    const bytes = tracked
      .split("\0")
      .filter((path) => path !== "" && existsSync(join(projectRoot, path)))
      .reduce((sum, path) => sum + statSync(join(projectRoot, path)).size, 0)
    assert.isBelow(bytes, 35e6)
  })
})

describe("words and constructs", () => {
  const matches = (paths: ReadonlyArray<string>, pattern: RegExp) =>
    paths.flatMap((path) =>
      linesOf(path).flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1} ${line.trim().slice(0, 60)}`] : [],
      ),
    )

  it("time, randomness and the console come through services", () => {
    const banned = /^(Date\.now|Math\.random|console\.\w+|new Date\(\))$/
    none(
      product
        .filter((path) => path !== "schemas/generate.ts")
        .flatMap((path) =>
          syntaxOf(path)
            .members.filter(([name]) => banned.test(name))
            .map(([name, line]) => `${path}:${line} ${name}`),
        ),
    )
  })

  it("async and try stay in the thin adapters that need them", () => {
    const adapters =
      /^(streams\/(embedded|kafka)\/|src\/(generate\/engine|cli|client)\/|schemas\/generate\.ts)/
    none(
      product
        .filter((path) => !adapters.test(path))
        .flatMap((path) => {
          const { asyncLines, tryLines } = syntaxOf(path)
          return [...asyncLines, ...tryLines].map((line) => `${path}:${line}`)
        }),
    )
  })

  it("one word a concept", () => {
    const synonym = /(?:^|[a-z])(job|task|tick)(?=$|[A-Z])|(?:^|[a-z])(Job|Task|Tick)(?=s?$|[A-Z])/
    none(
      product.flatMap((path) =>
        syntaxOf(path)
          .declared.filter(([name]) => synonym.test(name))
          .map(([name, line]) => `${path}:${line} ${name}`),
      ),
    )
    none(
      matches(
        native.filter((path) => path.startsWith("native/engine/")),
        /\b\w*(job|task|tick)(_\w*)?\b\s*[;({=]/,
      ),
    )
  })

  it("no notes to self, no silenced checks, no tests that are left out", () => {
    const own = (path: string) => path !== "test/tidy.test.ts"
    const code = [...typescript, ...scripts, ...native].filter(own)
    none(matches(code, /\b(TODO|FIXME|XXX|HACK)\b/))
    none(matches(code, /@ts-(ignore|expect-error|nocheck)|oxlint-disable|eslint-disable/))
    none(matches(code, /\b(it|test|describe)(\.\w+)*\.(only|skip|todo)\(/))
    none(matches(product, /\bas (any|unknown as|never)\b/))
  })

  it("no path or host of one machine", () => {
    const texts = allFiles.filter((path) =>
      /\.(ts|mjs|js|json|md|yaml|yml|cc|h|gyp|py)$/.test(path),
    )
    none(
      matches(
        texts.filter((path) => path !== "test/tidy.test.ts" && !path.startsWith("test/golden/")),
        /(^|[\s"'`(=:])\/(work|root|home\/\w+|Users\/\w+)\//,
      ),
    )
  })

  it("native code checks by SLUICE_CHECK and is built for any CPU of its kind", () => {
    none(
      matches(
        native.filter((path) => path.startsWith("native/")),
        /(^|[^_\w])assert\(/,
      ),
    )
    none(
      matches(
        native.filter((path) => path.startsWith("native/") && !path.startsWith("native/runtime/")),
        /\bcudaMalloc\b/,
      ),
    )
    const builds = allFiles.filter((path) => /(\.gypi?|Makefile)$|^native\/.*\.mjs$/.test(path))
    none(matches(builds, /-march=native|-ffast-math/))
  })

  it("a file begins by saying what it owns", () => {
    none(
      [...typescript, ...native].filter((path) => {
        if (path.endsWith(".test.ts")) return false
        const lines = linesOf(path)
        const first = lines[0]?.startsWith("#!") ? 1 : 0
        const comment = lines.slice(first).findIndex((line) => !line.startsWith("//"))
        return comment < 1 || comment > 30
      }),
    )
  })
})

describe("what must be beside what", () => {
  it("native.ts and addon.cc list the same names in the same order", () => {
    const types = "src/generate/engine/native.ts"
    const names = (path: string, pattern: RegExp) =>
      [...textOf(path).matchAll(pattern)].map(([, name]) => name)
    const typed = names(types, /^ {2}(?:readonly )?(\w+)\s*(?:\(|: \()/gm)
    const exported = names("native/addon/addon.cc", /exports\.Set\(\s*"(\w+)"/g)
    assert.isAbove(exported.length, 0)
    assert.deepStrictEqual(exported, typed)
  })

  it("every kernel has a header, a reference and a test", () => {
    const tests = native.filter((path) => path.endsWith("_test.cc")).map(textOf)
    const kernel = /^native\/kernels\/(?:reference\/(\w+)|(\w+)_(?:avx2|avx512|neon))\.cc$/
    const operations = new Set(
      native.flatMap((path) => kernel.exec(path)?.slice(1).filter(Boolean) ?? []),
    )
    assert.isAbove(operations.size, 0)
    none(
      [...operations].flatMap((name) => [
        ...(allFiles.includes(`native/kernels/${name}.h`) ? [] : [`${name}: header`]),
        ...(allFiles.includes(`native/kernels/reference/${name}.cc`) ? [] : [`${name}: reference`]),
        ...(tests.some((text) => text.includes(`kernels/${name}.h`)) ? [] : [`${name}: test`]),
      ]),
    )
  })

  it("every event version has a golden file", () => {
    const events = allFiles.flatMap((path) => /^schemas\/(\w+)\.avsc$/.exec(path)?.[1] ?? [])
    const golden = allFiles.filter((path) => path.startsWith("test/golden/schemas/"))
    none(events.filter((event) => !golden.some((path) => path.includes(event))))
  })

  it("one first heading in every Markdown file", () => {
    none(
      markdown.filter((path) => {
        const outsideCode = textOf(path).replace(/^```[\s\S]*?^```/gm, "")
        return (outsideCode.match(/^# /gm) ?? []).length !== 1
      }),
    )
  })

  it("every path that ARCHITECTURE.md names is there", () => {
    const named = [...textOf("ARCHITECTURE.md").matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`/g)]
    none(
      named
        .map(([, path]) => path ?? "")
        .filter((path) => /^(schemas|streams|src|native|ops|test|models)\//.test(path))
        .filter((path) => !existsSync(join(projectRoot, path))),
    )
  })

  it("the generated file is the only one without a hand", () => {
    none(allFiles.filter(isGenerated).filter((path) => !/^\/\/ .*generated/i.test(textOf(path))))
  })
})
