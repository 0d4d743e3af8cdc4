// Faults that were put into the product on purpose, one at a time: of each invariant the guards
// that keep it, removed. The simulation must find every one; one that it does not find is a hole in
// the simulation. Guards that stand twice are removed where they bite.
import type { Mutation } from "./mutate.ts"

const fold = "streams/fold/requestState.ts"
const lifecycle = "src/generate/lifecycle.ts"

export const mutations: ReadonlyArray<Mutation> = [
  {
    name: "success-before-durable",
    guards: "1: no success byte before the request is durable",
    file: "src/enqueue/layer.ts",
    find: `    yield* requestLog
      .append(request, place)
      .pipe(`,
    replace: `    yield* Effect.forkDetach(requestLog.append(request, place)).pipe(`,
  },
  {
    name: "invented-frame",
    guards: "2: nothing reaches a client that is not in the token log",
    file: "src/relay/Follower.ts",
    find: "const events = apply(this.state, writer, entry)",
    replace: `const events = apply(this.state, this.state.claimant ?? writer,
      "attempt" in entry && entry.kind !== "AttemptClaimed"
        ? { ...entry, attempt: this.state.attempt } : entry)`,
  },
  {
    name: "repeated-positions",
    guards: "3: positions that are held are dropped",
    file: fold,
    find: "const held = choice.tokens\n",
    replace: "const held = Math.min(choice.tokens, entry.position)\n",
  },
  {
    name: "history-joins-early",
    guards: "3: a follower goes from history to live without losing a frame",
    file: "src/relay/catchUp.ts",
    find: "if (next < this.#options.liveOffset()) return next",
    replace: "",
  },
  {
    name: "gap-in-silence",
    guards: "3: who reads over a gap in the log is told",
    file: "src/relay/Follower.ts",
    find: "this.#error = this.#lacks(gapError(this.requestId))",
    replace: "return",
  },
  {
    name: "entry-grows-after-it-left",
    guards: "3: what is on its way is not added to",
    file: "src/generate/generation.ts",
    find: "if (choice.open !== null && choice.place?.taken === false) return choice.open",
    replace: "if (choice.open !== null) return choice.open",
  },
  {
    name: "appends-overtake",
    guards: "3: at most one append outstanding a partition",
    file: "src/generate/flush.ts",
    find: "if (buffer.outstanding || buffer.size === 0 || this.#lost) return",
    replace: "if (buffer.size === 0 || this.#lost) return",
  },
  {
    name: "unknown-outcome-is-success",
    guards: "3: an append whose outcome is unknown is sent again",
    file: "src/generate/flush.ts",
    find: "if (error !== null) return this.#failed(partition, frame, error)",
    replace: `if (error !== null && error.reason !== "unknownOutcome")
        return this.#failed(partition, frame, error)`,
  },
  {
    name: "several-ends",
    guards: "4: nothing counts after the terminal entry",
    file: fold,
    find: "if (state.terminal !== null) return none",
    replace: "",
  },
  {
    name: "gives-up-after-failure",
    guards: "4: every accepted request ends",
    file: lifecycle,
    find: `    if (!item.isHeld || item.phase !== "yielded") return
    item.phase = "reading"`,
    replace: `    return
    item.phase = "reading"`,
  },
  {
    name: "acknowledges-cancel-early",
    guards: "4: a cancel is acknowledged when no token can follow",
    file: "src/enqueue/layer.ts",
    find: "    yield* settle(requestId, by)\n",
    replace: "    yield* Effect.forkDetach(settle(requestId, by))\n",
  },
  {
    name: "resume-repeats",
    guards: "5: a resumed stream begins after its cursor",
    file: "src/api/answer/StreamAnswer.ts",
    find: `      for (const frame of start.projection.push(event)) {
        if (frame.cursor > start.cursor) outlet.put(frame)
      }`,
    replace: `      for (const frame of start.projection.push(event)) outlet.put(frame)`,
  },
  {
    name: "cursor-of-a-relay-ahead",
    guards: "5: any relay takes any cursor that was given out",
    file: "src/relay/catchUp.ts",
    find: "if (next < follower.end && frames.length > 0) continue",
    replace: "",
  },
  {
    name: "claims-of-the-same-attempt",
    guards: "6: of several claims of one attempt the first counts",
    file: fold,
    find: "if (entry.attempt === state.attempt + 1) {",
    replace: "if (entry.attempt >= state.attempt) {",
  },
  {
    name: "losers-write-on",
    guards: "6: tokens count that are the current claimant's",
    file: fold,
    find: "if (entry.attempt !== state.attempt || writer !== state.claimant) return none",
    replace: "",
  },
  {
    name: "woken-worker-does-not-notice",
    guards: "6: a worker that was overtaken yields",
    file: lifecycle,
    find: "if (holds && claim !== null && !claim.rival(attempt, offset)) this.#yield(item)",
    replace: "",
  },
  {
    name: "fresh-without-proof",
    guards: "6: a request that may have been touched is folded first",
    file: "src/generate/intake.ts",
    find: "lifecycle.arrive(item, isFresh)",
    replace: "lifecycle.arrive(item, true)",
  },
  {
    name: "claim-sent-twice",
    guards: "6: the next attempt ends this one, wherever its claim stands",
    file: "src/generate/claim.ts",
    find: "return rival.attempt === this.attempt + 1",
    replace: "return rival.offset > offset && rival.attempt === this.attempt + 1",
  },
  {
    name: "commits-what-runs",
    guards: "7: nothing is committed that is not over",
    file: "src/generate/watermark.ts",
    find: "for (const lowest of this.#open) return lowest",
    replace: "",
  },
  {
    name: "settles-before-the-tail",
    guards: "7: an own end counts only when the tail has passed it",
    file: "src/generate/tail.ts",
    find: "if (follower.next > offset) this.#options.lifecycle.passed(item)",
    replace: "if (offset >= 0) this.#options.lifecycle.passed(item)",
  },
  {
    name: "dropped-commit-is-done",
    guards: "7: what an older epoch took to commit is taken again",
    file: "src/generate/assignment.ts",
    find: "      watermark.untake()\n",
    replace: "",
  },
  {
    name: "usage-counts-events",
    guards: "8: usage is the positions that were delivered",
    file: fold,
    find: "completionTokens: completionTokens(state),",
    replace: "completionTokens: state.events,",
  },
  {
    name: "slow-client-is-fed-on",
    guards: "9: a subscriber that is full is paused",
    file: "src/relay/Follower.ts",
    find: "if (!takesMore && !this.#resumed) this.#setPaused()",
    replace: "",
  },
  {
    name: "never-given-up",
    guards: "9: past its claims without progress a request is given up",
    file: lifecycle,
    find: "if (history.claimsIdle >= claimsMax) {",
    replace: "if (history.claimsIdle >= claimsMax * 1000) {",
  },
  {
    name: "no-letter",
    guards: "9: what is given up is kept for operators first",
    file: "src/generate/bury.ts",
    find: "    yield* options.append(letterOf(burial, options.now()))\n",
    replace: "",
  },
  {
    name: "key-runs-twice",
    guards: "10: one idempotency key runs once",
    file: "src/enqueue/submitOnce.ts",
    find: "if (holder.requestId === requestId && !(yield* isLate)) {",
    replace: "if (holder.requestId.length > 0) {",
  },
  {
    name: "text-forgets-the-seam",
    guards: "12: an adopted text goes on where it was cut",
    file: "src/generate/generation.ts",
    find: "if (!logged.finished) for (const id of logged.ids) text.push(id, false)",
    replace: "",
  },
  {
    name: "engine-forgets-the-seam",
    guards: "12: an adopted sequence goes on from the logged ids",
    file: "src/generate/generation.ts",
    find: "generatedIds: choice.loggedIds,",
    replace: "generatedIds: [],",
  },
  {
    name: "claim-watch-lost",
    guards: "4: an adopting claim is read back",
    file: lifecycle,
    find: "    if (!isWon) return this.#yield(item)\n",
    replace: `    if (!isWon) {
      this.#events.watchOwn(item.tokenPartition, -1)
      return this.#yield(item)
    }
`,
  },
]

export const mutationOf = (name: string): Mutation => {
  const found = mutations.find((mutation) => mutation.name === name)
  if (found === undefined) throw new Error(`there is no mutation ${name}`)
  return found
}
