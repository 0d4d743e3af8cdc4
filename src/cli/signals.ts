// Signals that ask the process to stop. The first starts the drain; a second one that a person can
// have meant ends the process at once.

/** npm and the terminal both deliver one Ctrl-C; within this time they are the same. */
const samePressMs = 500

const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

const processStops = "stopping; what runs is left in the log"

/** Calls `stop` once; the returned function takes the handlers off. */
export const onStopSignal = (
  stop: () => void,
  warn: (line: string) => void,
  saying = processStops,
): (() => void) => {
  let first: number | null = null
  const handlers = Object.entries(numbers).map(([signal, number]) => {
    const handler = () => {
      const now = performance.now()
      if (first === null) {
        first = now
        warn(`sluice: ${saying} (once more: at once)`)
        stop()
      } else if (now - first > samePressMs) {
        process.exit(128 + number)
      }
    }
    process.on(signal, handler)
    return () => process.off(signal, handler)
  })
  return () => handlers.forEach((off) => off())
}
