// The playground in a real browser: what it shows is what the server said, through a reload in the
// middle, a worker that was killed, and a network that was away.
import type { Browser } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it, vi } from "vitest"
import { launchChromium, openPage, type Watched } from "../support/browser/Chromium.ts"
import { FaultProxy } from "../support/FaultProxy.ts"
import { type Sluice, startSluice } from "../support/server.ts"

const waitMs = 30_000

/** A port on which nobody listens. */
const nowhere = 1

describe("the playground", () => {
  let server: Sluice
  let browser: Browser
  let proxy: FaultProxy
  let watched: Watched
  beforeAll(async () => {
    const flags = ["--engine", "scripted", "--scripted-tokens-per-second", "60", "--development"]
    ;[server, browser] = await Promise.all([startSluice({ flags }), launchChromium()])
    proxy = await FaultProxy.listen()
    proxy.target = server.port
  })
  afterAll(async () => {
    await browser.close()
    proxy.close()
    await server.stop()
  })
  beforeEach(async () => {
    watched = await openPage(browser)
    await watched.page.goto(`http://127.0.0.1:${proxy.port}/console#playground`)
  })
  afterEach(async () => {
    assert.deepStrictEqual(watched.faults, [])
    await watched.context.close()
  })

  const answer = () => watched.page.getByRole("region", { name: "Answer" })

  const text = async () => (await answer().textContent()) ?? ""

  /** What the same request says when nothing happens to it. */
  const undisturbed = async (prompt: string, tokens: number): Promise<string> => {
    const whole = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tales-11m", prompt, max_tokens: tokens, temperature: 0 }),
    })
    const said: unknown = await whole.json()
    assert.nestedProperty(said, "choices[0].text")
    return JSON.parse(JSON.stringify(said)).choices[0].text
  }

  const ask = async (prompt: string, tokens: number) => {
    const { page } = watched
    await page.getByLabel("Prompt").fill(prompt)
    await page.getByLabel("Tokens").fill(String(tokens))
    await page.getByLabel("Temperature").fill("0")
    await page.getByRole("button", { name: "Generate" }).click()
  }

  const reaches = (length: number) =>
    vi.waitFor(async () => assert.isAtLeast((await text()).length, length), {
      timeout: waitMs,
      interval: 50,
    })

  it("goes on after a reload in the middle", async () => {
    const whole = await undisturbed("A reload", 150)
    await ask("A reload", 150)
    await reaches(40)
    await watched.page.reload()
    await reaches(41)
    assert.isBelow((await text()).length, whole.length)
    await reaches(whole.length)
    assert.strictEqual(await text(), whole)
  })

  it("goes on after its worker was killed, and says who took it up", async () => {
    const whole = await undisturbed("A kill", 300)
    await ask("A kill", 300)
    await reaches(40)
    await watched.page.getByRole("button", { name: "Kill the worker" }).click()
    await watched.page
      .getByText(/taken up by|takes the request up/)
      .first()
      .waitFor({ timeout: waitMs })
    await reaches(whole.length)
    assert.strictEqual(await text(), whole)
  })

  it("goes on after the network was away", async () => {
    const whole = await undisturbed("No network", 300)
    await ask("No network", 300)
    await reaches(40)
    proxy.target = nowhere
    proxy.reset()
    await watched.page.locator(".connection.away").waitFor({ timeout: waitMs })
    proxy.target = server.port
    await reaches(whole.length)
    assert.strictEqual(await text(), whole)
    await watched.page.locator(".connection.live").waitFor({ timeout: waitMs })
  })
})
