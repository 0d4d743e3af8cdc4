// GET /openapi.json: OpenAPI 3.1, built from the table of routes and the Schemas that decode the
// bodies, so that it cannot say anything else than the code does.
import { Effect, Schema } from "effect"
import { type Call, writeText } from "./Call.ts"
import type { Route } from "./Route.ts"

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: "string" },
        earliest_cursor: { type: "null" },
        numbers: { type: "object", additionalProperties: { type: "number" } },
      },
    },
  },
}

const pathOf = (route: Route): string => route.path.replace(/:(\w+)/g, "{$1}")

const parametersOf = (route: Route) =>
  [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }))

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  description: "The same key and body: the same request, its answer from the start.",
  schema: { type: "string", maxLength: 255 },
}

const headersOf = (route: Route) => (route.generates ? [idempotencyKey] : [])

const cursorParameter = { name: "cursor", in: "query", schema: { type: "integer", minimum: 0 } }
const dialectParameter = { name: "dialect", in: "query", schema: { type: "string" } }
const lastEventId = { name: "Last-Event-ID", in: "header", schema: { type: "string" } }

const durableParameters = [
  { name: "offset", in: "query", schema: { type: "string", pattern: "^(-1|now|\\d{1,16})$" } },
  { name: "live", in: "query", schema: { type: "string", enum: ["long-poll", "sse"] } },
  cursorParameter,
]

const parametersByPath: Readonly<Record<string, ReadonlyArray<object>>> = {
  "/v1/requests/:id/events": [cursorParameter, dialectParameter, lastEventId],
  "/v1/responses/:id": [
    { name: "stream", in: "query", schema: { type: "boolean" } },
    { name: "starting_after", in: "query", schema: { type: "integer", minimum: 0 } },
    lastEventId,
  ],
  "/v1/streams/:id": [...durableParameters, dialectParameter],
  "/v1/streams/:id/text": durableParameters,
}

const queryOf = (route: Route) => parametersByPath[route.path] ?? []

const statusTexts: Readonly<Record<number, string>> = {
  101: "Switching to WebSocket.",
  200: "The answer.",
  204: "Everything was delivered, or nothing new came.",
  304: "It has not changed.",
  404: "Unknown.",
  410: "Retention has passed it.",
  426: "Only as a WebSocket.",
  503: "Not ready.",
}

const responsesOf = (route: Route) => {
  const error = { $ref: "#/components/responses/Error" }
  const content = Object.fromEntries(route.types.map((type) => [type, {}]))
  const success = (status: number) => ({
    description: statusTexts[status] ?? "The answer.",
    ...(status === 200 ? { content } : {}),
  })
  const named = route.statuses.map((status) => [status, status >= 400 ? error : success(status)])
  return { ...Object.fromEntries(named), default: error }
}

/** As JSON Schema; the named Schemas that it uses move to the components. */
const schemaOf = (schema: Schema.Constraint, components: Record<string, unknown>): unknown => {
  const document = Schema.toJsonSchemaDocument(schema)
  for (const [name, definition] of Object.entries(document.definitions)) {
    components[name] = toComponents(definition)
  }
  return toComponents(document.schema)
}

const bodyOf = (schema: Schema.Constraint, components: Record<string, unknown>) => ({
  required: true,
  content: { "application/json": { schema: schemaOf(schema, components) } },
})

const toComponents = (schema: unknown): unknown =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'))

const operationOf = (route: Route, components: Record<string, unknown>) => ({
  summary: route.summary,
  operationId: `${route.method.toLowerCase()}${route.path.replace(
    /[^a-zA-Z0-9]+(.)?/g,
    (_, next) => (typeof next === "string" ? next.toUpperCase() : ""),
  )}`,
  parameters: [...parametersOf(route), ...queryOf(route), ...headersOf(route)],
  ...(route.body === null ? {} : { requestBody: bodyOf(route.body, components) }),
  ...(route.message === null ? {} : { "x-message": schemaOf(route.message, components) }),
  responses: responsesOf(route),
  security: route.open ? [] : [{ key: [] }, {}],
})

export const openApiDocument = (routes: ReadonlyArray<Route>) => {
  const schemas: Record<string, unknown> = { Error: errorSchema }
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = (paths[pathOf(route)] ??= {})
    path[route.method.toLowerCase()] = operationOf(route, schemas)
  }
  const content = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } }
  return {
    openapi: "3.1.0",
    info: {
      title: "Sluice",
      version: "1",
      description: "OpenAI's API with resumable streams. Every answer carries x-request-id.",
    },
    paths,
    components: {
      schemas,
      responses: { Error: { description: "What is wrong, in OpenAI's shape.", content } },
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
  }
}

/** The handler; written once, at the first question. */
export const describeRoutes = (
  routes: () => ReadonlyArray<Route>,
): ((call: Call) => Effect.Effect<void>) => {
  let written: string | null = null
  return (call) =>
    Effect.sync(() => {
      written ??= JSON.stringify(openApiDocument(routes()))
      writeText(call.exchange.res, written, { type: "application/json; charset=utf-8" })
    })
}
