// What the tidy test asks of a TypeScript file's syntax: imports, exports, functions, and the
// places of constructs that are restricted. By the parser that the test runner brings.
import { dirname, join } from "node:path"
import { parseSync, Visitor } from "rolldown/utils"
import { textOf } from "./sources.ts"

export interface FunctionSize {
  readonly name: string
  readonly line: number
  readonly lines: number
  readonly parameters: number
  /** The generator that builds a service: the argument of Effect.gen or of a layer. */
  readonly isConstructor: boolean
}

export interface Syntax {
  readonly imports: ReadonlyArray<{ readonly from: string; readonly names: ReadonlyArray<string> }>
  readonly exports: ReadonlyArray<string>
  readonly functions: ReadonlyArray<FunctionSize>
  readonly asyncLines: ReadonlyArray<number>
  readonly tryLines: ReadonlyArray<number>
  /** Dotted calls and names such as Date.now and console.log, with their lines. */
  readonly members: ReadonlyArray<readonly [name: string, line: number]>
  readonly declared: ReadonlyArray<readonly [name: string, line: number]>
}

interface FunctionNode {
  readonly start: number
  readonly end: number
  readonly generator: boolean
  readonly async: boolean
  readonly params: ReadonlyArray<unknown>
}

const lineCounter = (text: string) => {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return (offset: number): number => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }
}

const cache = new Map<string, Syntax>()

export const syntaxOf = (path: string): Syntax => {
  const known = cache.get(path)
  if (known !== undefined) return known
  const read = readSyntax(path, textOf(path))
  cache.set(path, read)
  return read
}

const constructs = /(Effect\.gen|Layer\.effect\w*|Effect\.fn\w*\([^()]*\))\(\s*$/

export const readSyntax = (path: string, text: string): Syntax => {
  const { program, module, errors } = parseSync(path, text, { lang: "ts" })
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const lineAt = lineCounter(text)
  const functions: Array<FunctionSize> = []
  const asyncLines: Array<number> = []
  const tryLines: Array<number> = []
  const members: Array<readonly [string, number]> = []
  const declared: Array<readonly [string, number]> = []

  const onFunction = (node: FunctionNode) => {
    const line = lineAt(node.start)
    const head = text.slice(Math.max(0, node.start - 120), node.start)
    const named = /(\w+)\s*[:=][^=;{}]*$/.exec(head)?.[1] ?? "a function"
    functions.push({
      name: named,
      line,
      lines: lineAt(node.end) - line + 1,
      parameters: node.params.length,
      isConstructor: node.generator && constructs.test(head),
    })
    if (node.async) asyncLines.push(line)
  }
  new Visitor({
    FunctionDeclaration: onFunction,
    FunctionExpression: onFunction,
    ArrowFunctionExpression: (node) => onFunction({ ...node, generator: false }),
    AwaitExpression: (node) => asyncLines.push(lineAt(node.start)),
    TryStatement: (node) => tryLines.push(lineAt(node.start)),
    VariableDeclarator: (node) => {
      if (node.id.type === "Identifier") declared.push([node.id.name, lineAt(node.start)])
    },
    PropertyDefinition: (node) => {
      if (node.key.type === "Identifier") declared.push([node.key.name, lineAt(node.start)])
    },
    TSPropertySignature: (node) => {
      if (node.key.type === "Identifier") declared.push([node.key.name, lineAt(node.start)])
    },
    MemberExpression: (node) => {
      if (node.object.type === "Identifier" && node.property.type === "Identifier") {
        members.push([`${node.object.name}.${node.property.name}`, lineAt(node.start)])
      }
    },
    NewExpression: (node) => {
      if (node.callee.type === "Identifier" && node.arguments.length === 0) {
        members.push([`new ${node.callee.name}()`, lineAt(node.start)])
      }
    },
  }).visit(program)

  return {
    imports: importsOf(module, text),
    exports: module.staticExports.flatMap(({ entries }) =>
      entries.flatMap((entry) => (entry.exportName.name === null ? [] : [entry.exportName.name])),
    ),
    functions,
    asyncLines,
    tryLines,
    members,
    declared,
  }
}

type Module = ReturnType<typeof parseSync>["module"]

const importsOf = (module: Module, text: string): Syntax["imports"] => [
  ...module.staticImports.map((item) => ({
    from: item.moduleRequest.value,
    names: item.entries.map(({ importName }) => importName.name ?? "*"),
  })),
  ...module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest, importName }) =>
      moduleRequest === null
        ? []
        : [{ from: moduleRequest.value, names: [importName.name ?? "*"] }],
    ),
  ),
  ...module.dynamicImports.map(({ moduleRequest }) => ({
    from: text.slice(moduleRequest.start, moduleRequest.end).replace(/^["'`]|["'`]$/g, ""),
    names: ["*"],
  })),
]

/** A relative import as a path from the project's root; a package's name as it is. */
export const resolveImport = (path: string, from: string): string =>
  from.startsWith(".") ? join(dirname(path), from).replaceAll("\\", "/") : from
