// What docker-compose.yml says: the settings of its broker, the environment and the steps of its
// Sluice. Tests take theirs from here, so that there is one place for both.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { projectRoot } from "../shared.ts"

export interface ComposeService {
  readonly image: string
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly healthcheck?: { readonly test: ReadonlyArray<string> }
  readonly ports?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<string>
  readonly restart?: string
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

export const composeFile = join(projectRoot, "docker-compose.yml")

export const composeServices = (): Readonly<Record<string, ComposeService>> =>
  parse(readFileSync(composeFile, "utf8"), { merge: true }).services

const service = (name: string): ComposeService => {
  const found = composeServices()[name]
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
  return found
}

/** KAFKA_LOG_DIRS is log.dirs: Kafka's image reads its environment so. */
const propertyOf = (variable: string): string =>
  variable.slice("KAFKA_".length).toLowerCase().replaceAll("_", ".")

/** As lines of server.properties. */
export const brokerSettings = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(service("kafka").environment ?? {})
      .filter(([name]) => name.startsWith("KAFKA_"))
      .map(([name, value]) => [propertyOf(name), value]),
  )

const places = /^SLUICE_(KAFKA|REGISTRY|REDIS|ADMIN_LISTEN|HOST|PORT|INSECURE)$/

/** Of every process of Sluice, less where things are. */
export const sluiceSettings = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(service("gateway").environment ?? {}).filter(([name]) => !places.test(name)),
  )

/** The words after `sluice`. */
export const commandOf = (name: string): ReadonlyArray<string> => service(name).command ?? []
