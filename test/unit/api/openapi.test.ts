// /openapi.json: names every route, and everything it refers to is there. OpenAPI 3.1's own rules
// that matter to generators are checked by hand: unique operation ids, declared path parameters,
// responses.
import { assert, describe, it } from "vitest"
import { Predicate } from "effect"
import { openApiDocument } from "../../../src/api/openapi.ts"
import { routes } from "../../../src/api/routes.ts"

const document: unknown = JSON.parse(JSON.stringify(openApiDocument(routes)))

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => (Predicate.isObject(inner) ? inner[key] : undefined), value)

/** Every value under a key, anywhere. */
const under = (value: unknown, key: string): ReadonlyArray<unknown> => {
  if (Array.isArray(value)) return value.flatMap((inner) => under(inner, key))
  if (!Predicate.isObject(value)) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === key ? [inner] : under(inner, key),
  )
}

describe("the OpenAPI document", () => {
  it("names every route, with its path parameters and its answers", () => {
    assert.strictEqual(at(document, "openapi"), "3.1.0")
    for (const route of routes) {
      const path = route.path.replace(/:(\w+)/g, "{$1}")
      const operation = at(document, "paths", path, route.method.toLowerCase())
      assert.isObject(operation, path)
      assert.isObject(at(operation, "responses", "default"))
      const names = under(at(operation, "parameters"), "name")
      for (const [, name] of route.path.matchAll(/:(\w+)/g)) assert.include(names, name)
    }
    const paths = at(document, "paths")
    const operations = Object.values(Predicate.isObject(paths) ? paths : {}).flatMap((path) =>
      Object.keys(Predicate.isObject(path) ? path : {}),
    )
    assert.strictEqual(operations.length, routes.length)
  })

  it("refers only to what it defines", () => {
    const refs = under(document, "$ref")
    assert.isAbove(refs.length, 10)
    for (const ref of refs) {
      assert.match(String(ref), /^#\//)
      assert.isObject(at(document, ...String(ref).slice(2).split("/")), String(ref))
    }
  })

  it("gives each operation an id of its own", () => {
    const ids = under(document, "operationId")
    assert.strictEqual(new Set(ids).size, routes.length)
  })

  it("describes the bodies by the Schemas that decode them", () => {
    const body = at(document, "components", "schemas", "CompletionsBody", "properties")
    assert.deepInclude(at(body, "temperature"), { type: "number", minimum: 0, maximum: 2 })
    assert.deepInclude(at(body, "n"), { type: "integer", minimum: 1 })
    const chat = at(document, "components", "schemas", "ChatBody")
    assert.deepEqual(at(chat, "required"), ["messages"])
  })
})
