// What the tidy test asks of a C++ file: its includes and the sizes of its functions. Layout is
// fixed by clang-format, so that a function at column 0 ends at the first `}` at column 0.
import { linesOf } from "./sources.ts"

export const includesOf = (path: string): ReadonlyArray<string> =>
  linesOf(path).flatMap((line) => {
    const found = /^\s*#\s*include\s+["<]([^">]+)[">]/.exec(line)
    return found?.[1] === undefined ? [] : [found[1]]
  })

export interface NativeFunction {
  readonly name: string
  readonly line: number
  readonly lines: number
  readonly parameters: number
}

const isNoFunction =
  /^(namespace|class|struct|union|enum|extern|template|typedef|using|#|\/\/|\s|})/

/** Parameters between the outermost parentheses, commas inside brackets not counted. */
const countParameters = (head: string): number => {
  const open = head.indexOf("(")
  let depth = 0
  let count = 0
  let any = false
  for (const character of head.slice(open)) {
    if ("(<[{".includes(character)) depth++
    else if (")>]}".includes(character)) {
      depth--
      if (depth === 0) break
    } else if (character === "," && depth === 1) count++
    else if (depth >= 1 && !/\s/.test(character)) any = true
  }
  return any ? count + 1 : 0
}

export const nativeFunctions = (path: string): ReadonlyArray<NativeFunction> => {
  const lines = linesOf(path)
  const found: Array<NativeFunction> = []
  let start = -1
  for (const [index, line] of lines.entries()) {
    if (start < 0) {
      const begins = /^[A-Za-z_].*\(/.test(line) && !isNoFunction.test(line)
      if (begins && !/;\s*(\/\/.*)?$/.test(line)) start = index
      continue
    }
    // A declaration over several lines ends without a body.
    if (
      /^\S.*;$|^ .*\);$/.test(line) &&
      !lines
        .slice(start, index + 1)
        .join("")
        .includes("{")
    ) {
      start = -1
    } else if (line.startsWith("}")) {
      const head = lines.slice(start, index).join(" ").split("{")[0] ?? ""
      found.push({
        name: /([\w:~]+)\s*\(/.exec(head)?.[1] ?? "?",
        line: start + 1,
        lines: index - start + 1,
        parameters: countParameters(head),
      })
      start = -1
    }
  }
  return found
}
