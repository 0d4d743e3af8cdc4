// The ids under which a registry knows our schemas, asked for once at a process's start. By the
// registry's own API and no library: @confluentinc/schemaregistry takes a second and 90 MB to load,
// and only `sluice schemas` needs what it can do.
import { Effect, Predicate } from "effect"
import { publishedSchemas, type PublishedSchema } from "../../schemas/ids.ts"
import { RegistryError, shownUrl } from "./RegistryError.ts"
import { schemaOfTopic, subjectOfTopic } from "./subjects.ts"

/** Between our id of a schema version and the registry's. */
export interface RegisteredId {
  readonly ours: number
  readonly theirs: number
}

const timeoutMs = 5000

interface Answer {
  readonly status: number
  readonly body: unknown
}

const credentials = (url: URL): Readonly<Record<string, string>> => {
  if (url.username === "") return {}
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` }
}

const post = (base: string, path: string, body: object): Effect.Effect<Answer, RegistryError> =>
  Effect.tryPromise({
    try: (signal) => {
      const url = new URL(base)
      const headers = { "content-type": "application/json", ...credentials(url) }
      url.username = ""
      url.password = ""
      url.pathname = `${url.pathname.replace(/\/$/, "")}${path}`
      return fetch(url, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      }).then((response) =>
        response.text().then((text) => ({
          status: response.status,
          body: text === "" ? null : JSON.parse(text),
        })),
      )
    },
    catch: (cause) => {
      const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
      const why = inner instanceof Error ? inner.message : String(inner)
      const message =
        `the schema registry at ${shownUrl(base)} is not reached (${why}); ` +
        "start it, or choose another with --registry."
      return new RegistryError({ reason: "unreachable", message })
    },
  })

const resolveOne = Effect.fnUntraced(function* (
  url: string,
  topic: string,
  { name, version, id, avro }: PublishedSchema,
): Effect.fn.Return<RegisteredId, RegistryError> {
  const path = `/subjects/${encodeURIComponent(subjectOfTopic(topic))}`
  const { status, body } = yield* post(url, path, { schemaType: "AVRO", schema: avro })
  if (status === 200 && Predicate.hasProperty(body, "id") && typeof body.id === "number") {
    return { ours: id, theirs: body.id }
  }
  if (status === 404) {
    const message =
      `${name} version ${version} is not registered for topic ${topic} at ${shownUrl(url)}; ` +
      "`sluice schemas register` registers what is missing."
    return yield* new RegistryError({ reason: "notRegistered", message })
  }
  const said = Predicate.hasProperty(body, "message") ? `: ${String(body.message)}` : ""
  const message = `the schema registry at ${shownUrl(url)} answers ${status}${said}.`
  return yield* new RegistryError({ reason: "refused", message })
})

/** Of every published version of the schemas of these topics. */
export const resolveIds = Effect.fn("Registry.resolveIds")(function* (
  url: string,
  topics: ReadonlyArray<string>,
) {
  const wanted = topics.flatMap((topic) =>
    publishedSchemas
      .filter(({ name }) => name === schemaOfTopic(topic))
      .map((schema) => [topic, schema] as const),
  )
  return yield* Effect.forEach(wanted, ([topic, schema]) => resolveOne(url, topic, schema), {
    concurrency: 8,
  })
})
