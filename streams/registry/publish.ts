// `sluice schemas`: a deploy step, never done by a service. Compares our schemas with what a
// registry holds for each topic, and registers what is missing under BACKWARD_TRANSITIVE, so that
// every reader of tomorrow reads every record of today.
import { Effect } from "effect"
import type { Client, Compatibility } from "@confluentinc/schemaregistry"
import { type PublishedSchema, publishedSchemas } from "../../schemas/ids.ts"
import { RegistryError, shownUrl } from "./RegistryError.ts"
import { schemaOfTopic, subjectOfTopic } from "./subjects.ts"

export interface SubjectPlan {
  readonly subject: string
  readonly schema: PublishedSchema
  /** The registry's id; null: it is not registered. */
  readonly id: number | null
}

const statusOf = (cause: unknown): number =>
  typeof cause === "object" && cause !== null && "status" in cause ? Number(cause.status) : 0

const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause)

const failure = (url: string, what: string, cause: unknown): RegistryError => {
  const status = statusOf(cause)
  const where = `the schema registry at ${shownUrl(url)}`
  if (status === 409) {
    const message = `${where} refuses ${what} as incompatible: ${messageOf(cause)}`
    return new RegistryError({ reason: "incompatible", message })
  }
  if (status >= 400) {
    const message = `${where} refuses ${what} (${status}): ${messageOf(cause)}`
    return new RegistryError({ reason: "refused", message })
  }
  const message = `${where} is not reached (${messageOf(cause)}); choose another with --registry.`
  return new RegistryError({ reason: "unreachable", message })
}

interface Registry {
  readonly client: Client
  readonly compatibility: Compatibility
}

/** Loaded when it is needed: see resolveIds.ts. */
const connect = (url: string): Effect.Effect<Registry, RegistryError> =>
  Effect.tryPromise({
    try: () =>
      import("@confluentinc/schemaregistry").then(({ SchemaRegistryClient, Compatibility }) => {
        const parsed = new URL(url)
        const { username, password } = parsed
        parsed.username = ""
        parsed.password = ""
        const client = SchemaRegistryClient.newClient({
          baseURLs: [parsed.href.replace(/\/$/, "")],
          ...(username === ""
            ? {}
            : {
                basicAuthCredentials: {
                  credentialsSource: "USER_INFO" as const,
                  userInfo: `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
                },
              }),
        })
        return { client, compatibility: Compatibility.BACKWARD_TRANSITIVE }
      }),
    catch: (cause) => failure(url, "the connection", cause),
  })

const ask = <A>(url: string, what: string, run: () => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: (cause) => failure(url, what, cause) })

const infoOf = ({ avro }: PublishedSchema) => ({ schemaType: "AVRO", schema: avro })

const wanted = (topics: ReadonlyArray<string>): ReadonlyArray<readonly [string, PublishedSchema]> =>
  topics.flatMap((topic) =>
    publishedSchemas
      .filter(({ name }) => name === schemaOfTopic(topic))
      .toSorted((a, b) => a.version - b.version)
      .map((schema) => [subjectOfTopic(topic), schema] as const),
  )

const known = (client: Client, url: string, subject: string, schema: PublishedSchema) =>
  ask(url, subject, () => client.getId(subject, infoOf(schema), false)).pipe(
    Effect.map((id): number | null => id),
    Effect.catch((error) =>
      error.message.includes("(404)") ? Effect.succeed(null) : Effect.fail(error),
    ),
  )

/** What is registered; fails where something that is not would be refused. Changes nothing. */
export const checkSchemas = Effect.fn("Registry.check")(function* (
  url: string,
  topics: ReadonlyArray<string>,
) {
  const { client } = yield* connect(url)
  const plans: Array<SubjectPlan> = []
  for (const [subject, schema] of wanted(topics)) {
    const id = yield* known(client, url, subject, schema)
    if (id === null) {
      const versions = yield* ask(url, subject, () => client.getAllVersions(subject)).pipe(
        Effect.catch((error) =>
          error.message.includes("(404)") ? Effect.succeed([]) : Effect.fail(error),
        ),
      )
      for (const version of versions) {
        const fits = yield* ask(url, subject, () =>
          client.testCompatibility(subject, version, infoOf(schema)),
        )
        if (fits) continue
        const message =
          `${schema.name} version ${schema.version} cannot read what version ${version} of ` +
          `${subject} wrote; a new field needs a default, and no field may change its type.`
        return yield* new RegistryError({ reason: "incompatible", message })
      }
    }
    plans.push({ subject, schema, id })
  }
  return plans
})

/** Idempotent. */
export const registerSchemas = Effect.fn("Registry.register")(function* (
  url: string,
  topics: ReadonlyArray<string>,
) {
  const { client, compatibility } = yield* connect(url)
  const done: Array<SubjectPlan> = []
  for (const [subject, schema] of wanted(topics)) {
    yield* ask(url, `${subject}'s compatibility`, () =>
      client.updateConfig(subject, { compatibility }),
    )
    const id = yield* ask(url, `${schema.name} for ${subject}`, () =>
      client.register(subject, infoOf(schema), false),
    )
    done.push({ subject, schema, id })
  }
  return done
})
