// The memory of requests is bounded by count and by prompt ids; what was asked for last stays
// longest.
import { expect, it } from "vitest"
import { makeRequestMemory } from "../../../src/relay/requestMemory.ts"
import { acceptedRequest } from "../../support/enqueue.ts"

const request = (requestId: string, ids = 1) =>
  acceptedRequest({ requestId, prompts: [new Array(ids).fill(1)] })

it("forgets the one that was asked for longest ago", () => {
  const memory = makeRequestMemory({ requestsMax: 2, promptIdsMax: 1_000 })
  for (const id of ["a", "b"]) memory.put(request(id))
  expect(memory.get("a")?.requestId).toBe("a")
  memory.put(request("c"))
  expect([memory.get("a"), memory.get("b"), memory.get("c")].map((r) => r?.requestId)).toEqual([
    "a",
    undefined,
    "c",
  ])
})

it("counts prompt ids, a repeated request once", () => {
  const memory = makeRequestMemory({ requestsMax: 100, promptIdsMax: 10 })
  for (let i = 0; i < 5; i++) memory.put(request("a", 6))
  memory.put(request("b", 4))
  expect(memory.get("a")).not.toBeNull()
  memory.put(request("c", 5))
  expect(memory.get("b")).toBeNull()
  memory.put(request("huge", 11))
  expect(memory.get("huge")).toBeNull()
})
