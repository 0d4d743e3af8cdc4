// Settings that name other servers: brokers as host:port, services as URLs. What a URL says of a
// user is a secret: it is used, and never shown.
import { Schema } from "effect"
import { type Setting, setting } from "./setting.ts"

const brokerPattern = /^[A-Za-z0-9._-]+:\d{1,5}$/

const broker = Schema.String.check(Schema.isPattern(brokerPattern))

export const brokers = (key: string, about: string): Setting<ReadonlyArray<string>> =>
  setting<ReadonlyArray<string>>(key, {
    schema: Schema.Array(broker),
    fallback: [],
    expects: "host:port, several with commas between them",
    about,
    fromText: (given) => (given === "" ? [] : given.split(",").map((item) => item.trim())),
  })

const withoutUser = (value: unknown): string => {
  const parsed = URL.parse(String(value))
  if (parsed === null || parsed.username + parsed.password === "") return String(value)
  parsed.username = "user"
  parsed.password = "secret"
  return parsed.href
}

export const url = (key: string, schemes: RegExp, about: string): Setting<string> =>
  setting<string>(key, {
    schema: Schema.String.check(
      Schema.makeFilter(
        (text) => text === "" || text === "none" || schemes.test(URL.parse(text)?.protocol ?? ""),
      ),
    ),
    fallback: "",
    expects: "a URL",
    about,
    show: withoutUser,
  })
