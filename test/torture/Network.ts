// The network between everybody under torture: each link (clients to one gateway, everybody to one
// broker) has a proxy, and one trouble at a time comes over a link that is well, for a while.
import type { FaultProxy } from "../support/FaultProxy.ts"

export interface Link {
  /** Whose it is, for the report. */
  readonly name: string
  readonly proxy: FaultProxy
}

interface Trouble {
  readonly name: string
  readonly begin: (proxy: FaultProxy, below: (count: number) => number) => void
}

/** Shorter and longer than clients' patience with a silent connection. */
const troubleMsLeast = 200
const troubleMsMost = 5_000

const troubles: ReadonlyArray<Trouble> = [
  { name: "reset", begin: (proxy) => proxy.reset() },
  {
    name: "silent",
    begin: (proxy) => {
      proxy.isSilent = true
    },
  },
  {
    name: "late",
    begin: (proxy, below) => {
      proxy.delayMs = 20 + below(300)
    },
  },
  {
    name: "slow",
    begin: (proxy, below) => {
      proxy.bytesPerSecond = 2_000 + below(20_000)
    },
  },
]

export class Network {
  readonly #links: ReadonlyArray<Link>
  readonly #below: (count: number) => number
  /** Links in trouble, and what ends it. */
  readonly #troubled = new Map<Link, NodeJS.Timeout>()

  constructor(links: ReadonlyArray<Link>, below: (count: number) => number) {
    this.#links = links
    this.#below = below
  }

  /** What it did; null: every link is in trouble already. */
  disturb(): string | null {
    const well = this.#links.filter((link) => !this.#troubled.has(link))
    const link = well[this.#below(well.length)]
    const trouble = troubles[this.#below(troubles.length)]
    if (link === undefined || trouble === undefined) return null
    trouble.begin(link.proxy, this.#below)
    const ms = troubleMsLeast + this.#below(troubleMsMost - troubleMsLeast)
    this.#troubled.set(
      link,
      setTimeout(() => this.#mend(link), ms),
    )
    return `${link.name} ${trouble.name}`
  }

  calm(): void {
    for (const link of this.#troubled.keys()) this.#mend(link)
  }

  #mend(link: Link): void {
    clearTimeout(this.#troubled.get(link))
    this.#troubled.delete(link)
    link.proxy.calm()
  }
}
