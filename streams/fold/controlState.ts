// What the control log means: the fold that every process makes for itself, in log order, and so
// comes to the same. An event counts iff it follows the newest of its entity that counts: of two
// processes that decide at once, one decides. Pure.
import type { ControlEvent } from "../../schemas/types.ts"
import { applyRollout, type RolloutState } from "./rolloutState.ts"

/** Of each entity; the oldest are forgotten. */
const historyMax = 1_000

const entities = { setting: "config/", rollout: "rollout/" }

export const settingEntity = (key: string): string => `${entities.setting}${key}`
export const rolloutEntity = (model: string): string => `${entities.rollout}${model}`

interface Entity {
  /** The newest that counts. */
  head: string
  readonly history: Array<ControlEvent>
}

export class ControlState {
  readonly #entities = new Map<string, Entity>()
  readonly #settings = new Map<string, string>()
  readonly #rollouts = new Map<string, RolloutState>()

  /** The next event in log order; false: it does not count. */
  apply(event: ControlEvent): boolean {
    if (event.after !== this.head(event.entity) || !this.#change(event)) return false
    const entity = this.#entities.get(event.entity) ?? { head: "", history: [] }
    this.#entities.set(event.entity, entity)
    entity.head = event.eventId
    entity.history.push(event)
    if (entity.history.length > historyMax) entity.history.shift()
    return true
  }

  /** What an event of this entity has to follow. */
  head(entity: string): string | null {
    return this.#entities.get(entity)?.head ?? null
  }

  /** The events that counted, the oldest first. */
  history(entity: string): ReadonlyArray<ControlEvent> {
    return this.#entities.get(entity)?.history ?? []
  }

  /** Setting key to its value as JSON; what is not there, each process's own configuration says. */
  get settings(): ReadonlyMap<string, string> {
    return this.#settings
  }

  /** The newest of the model; null: there was none. */
  rollout(model: string): RolloutState | null {
    return this.#rollouts.get(model) ?? null
  }

  get rollouts(): ReadonlyMap<string, RolloutState> {
    return this.#rollouts
  }

  #change(event: ControlEvent): boolean {
    const { entity, change } = event
    if (change.kind === "SettingChanged") {
      if (entity !== settingEntity(change.key)) return false
      if (change.value === null) this.#settings.delete(change.key)
      else this.#settings.set(change.key, change.value)
      return true
    }
    if (!entity.startsWith(entities.rollout)) return false
    const model = entity.slice(entities.rollout.length)
    if (change.kind === "RolloutStarted" && change.model !== model) return false
    const next = applyRollout(this.rollout(model), event)
    if (next === null) return false
    this.#rollouts.set(model, next)
    return true
  }
}
