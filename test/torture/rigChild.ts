// One rig in a process of its own: tells its parent of every kill and, at the end, its report.
import type { RigMessage, RigOrder } from "./runRigs.ts"
import { rigs } from "./rigs.ts"
import { torture } from "./torture.ts"

const isOrder = (value: unknown): value is RigOrder =>
  typeof value === "object" && value !== null && "log" in value && "historyFile" in value

const order: unknown = JSON.parse(process.argv[2] ?? "null")
if (!isOrder(order)) throw new Error("this is started by runRigs.ts")
const makeRig = rigs.get(order.log)
if (makeRig === undefined) throw new Error(`there is no rig for ${order.log}`)

// Whoever waited for the report is gone; nobody who was started stays.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130))
process.once("disconnect", () => process.exit(130))

const tell = (message: RigMessage): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined) resolve()
    else process.send(message, () => resolve())
  })

const rig = await makeRig()
const { seed, kills, streams, tokens, historyFile } = order
const report = await torture({
  rig,
  seed,
  kills,
  streams,
  tokens,
  historyFile,
  onProgress: (done) => void tell({ kills: done }),
}).finally(() => rig.close())
await tell({ report })
process.exit()
