// One call of a tool as a model writes it, {"name": .., "arguments": {..}}, read character by
// character: the name once it is whole, the arguments as they come, in the model's own spelling.
// llama3 says parameters for arguments. Arguments before the name wait for it; those in a string
// are taken out of it when it is whole.

const argumentKeys = new Set(["arguments", "parameters"])

export class CallReader {
  name: string | null = null
  /** The object is closed. */
  isOver = false
  /** Everything read, for a text that turns out to be no call. */
  raw = ""
  #depth = 0
  #inString = false
  #isEscaped = false
  #isKey = true
  #key = ""
  #string = ""
  #value = ""
  #argument = ""

  /** The arguments' text that may be shown now. */
  take(): string {
    if (this.name === null) return ""
    const shown = this.#argument
    this.#argument = ""
    return shown
  }

  push(char: string): void {
    this.raw += char
    const depth = this.#depth
    const isPart = this.#inString ? this.#pushInString(char) : this.#pushOutside(char)
    if (isPart && depth >= 1 && !this.#isKey && argumentKeys.has(this.#key))
      this.#pushArgument(char)
  }

  #pushArgument(char: string): void {
    if (this.#value === "" && /\s/.test(char)) return
    this.#value += char
    if (!this.#value.startsWith('"')) this.#argument += char
  }

  #pushInString(char: string): true {
    this.#string += char
    if (this.#isEscaped) this.#isEscaped = false
    else if (char === "\\") this.#isEscaped = true
    else if (char === '"') this.#inString = false
    if (!this.#inString && this.#depth === 1) this.#endString()
    return true
  }

  #endString(): void {
    const text = unquoted(this.#string)
    if (this.#isKey) this.#key = text
    else if (this.#key === "name") this.name = text
  }

  /** True where the character belongs to a value. */
  #pushOutside(char: string): boolean {
    switch (char) {
      case '"':
        this.#inString = true
        this.#string = char
        return true
      case "{":
      case "[":
        this.#depth += 1
        return this.#depth > 1
      case "}":
      case "]":
        this.#depth -= 1
        if (this.#depth === 0) this.#endValue()
        this.isOver = this.#depth === 0
        return this.#depth > 0
      default:
        return this.#pushBetween(char)
    }
  }

  #pushBetween(char: string): boolean {
    if (this.#depth !== 1) return true
    if (char === ":" && this.#isKey) {
      this.#isKey = false
      return false
    }
    if (char !== ",") return true
    this.#endValue()
    this.#isKey = true
    this.#key = ""
    return false
  }

  #endValue(): void {
    if (this.#value.startsWith('"')) this.#argument += unquoted(this.#value)
    this.#value = ""
  }
}

/** Of a whole JSON string; as it is where it is none. */
const unquoted = (string: string): string => {
  const plain = string.replace(/^"|"$/g, "")
  if (!plain.includes("\\")) return plain
  return plain.replace(/\\(u[\da-fA-F]{4}|.)/gs, (whole, code: string) => {
    if (code.startsWith("u")) return String.fromCharCode(parseInt(code.slice(1), 16))
    return escapes[code] ?? whole
  })
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
}
