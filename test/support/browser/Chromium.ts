// Debian's Chromium as the tests of the console drive it. A page notes what it must never do: ask
// anything of another host, break its own content security policy, throw, or move what stood.
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"

export interface Watched {
  readonly page: Page
  readonly context: BrowserContext
  /** What went wrong so far, as sentences; each is a failure of the page. */
  readonly faults: Array<string>
  /** The sum of all layout shifts so far that no input explains. */
  readonly shifted: () => Promise<number>
}

export interface PageOptions {
  readonly theme?: "light" | "dark"
  readonly width?: number
  readonly height?: number
}

const executable = (): string => {
  const folders = (process.env["PATH"] ?? "").split(delimiter)
  const found = folders.map((folder) => join(folder, "chromium")).find((path) => existsSync(path))
  if (found === undefined) throw new Error("There is no chromium in PATH.")
  return found
}

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: executable(), args: ["--disable-gpu"] })

/** Runs in the page, before anything of it does. */
const observeShifts = `
  globalThis.sluiceShifts = 0
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!entry.hadRecentInput) globalThis.sluiceShifts += entry.value
    }
  }).observe({ type: "layout-shift", buffered: true })
`

/** A page of its own session: no storage, no cache, no cookie of another. */
export const openPage = async (browser: Browser, options: PageOptions = {}): Promise<Watched> => {
  const { theme = "light", width = 1440, height = 900 } = options
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height } })
  const page = await context.newPage()
  const faults: Array<string> = []
  page.on("pageerror", (error) => faults.push(`threw ${error.message}`))
  page.on("console", (line) => {
    if (/content security policy/i.test(line.text())) faults.push(line.text())
  })
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url())
    const isOwn = hostname === "127.0.0.1" || protocol === "data:" || protocol === "blob:"
    if (!isOwn) faults.push(`asked ${hostname}`)
  })
  await page.addInitScript({ content: observeShifts })
  const shifted = () => page.evaluate<number>("globalThis.sluiceShifts")
  return { page, context, faults, shifted }
}
