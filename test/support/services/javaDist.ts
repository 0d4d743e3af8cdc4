// Java servers from Maven Central, kept under .cache/services: Kafka's jars and Apicurio's archive,
// each with an archive of loaded classes that halves its start. Fetched once; a second caller waits
// for the first.
import { execFileSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

export const kafkaVersion = "4.4.0"
export const apicurioVersion = "3.0.9"

const root = join(import.meta.dirname, "..", "..", "..")
const cache = join(root, ".cache", "services")

/** C1 only and a small heap: tests wait for the start, not for the peak. */
export const javaFlags = [
  "-Xms64m",
  "-Xmx256m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:-UsePerfData",
]

const answers = (file: string, args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(file, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Why Java servers cannot run here; null: they can. */
export const javaMissing = (): string | null => {
  if (!answers("java", ["-version"])) return "it needs Java 17 (apt-get install openjdk-17-jre)"
  if (existsSync(join(cache, `kafka-${kafkaVersion}`))) return null
  return answers("mvn", ["-v"]) ? null : "it needs Maven to fetch Kafka (apt-get install maven)"
}

/** Makes a folder of the cache once: `fill` writes into a new one beside it, then it is renamed. */
const made = async (
  name: string,
  fill: (folder: string) => Promise<void> | void,
): Promise<string> => {
  const folder = join(cache, name)
  const lock = `${folder}.lock`
  mkdirSync(cache, { recursive: true })
  for (let waited = 0; !existsSync(folder); waited += 200) {
    if (waited > 300_000) throw new Error(`${lock} is held for too long; remove it`)
    if (!tryMake(lock)) {
      await sleep(200)
      continue
    }
    const fresh = mkdtempSync(`${folder}-`)
    try {
      await fill(fresh)
      renameSync(fresh, folder)
    } finally {
      rmSync(lock, { recursive: true, force: true })
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  return folder
}

const tryMake = (folder: string): boolean => {
  try {
    mkdirSync(folder)
    return true
  } catch {
    return false
  }
}

const dependency = (group: string, artifact: string, version: string) =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
  `<version>${version}</version></dependency>`

/** Without a logger's binding the server is silent. */
const kafkaPom =
  "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId>" +
  "<artifactId>kafka-dist</artifactId><version>1</version><packaging>pom</packaging>" +
  `<dependencies>${dependency("org.apache.kafka", "kafka_2.13", kafkaVersion)}` +
  `${dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")}</dependencies></project>`

const kafkaLogging = [
  "status = error",
  "appender.c.type = Console",
  "appender.c.name = C",
  "appender.c.layout.type = PatternLayout",
  "appender.c.layout.pattern = [%d] %p %m (%c{1})%n",
  "rootLogger.level = WARN",
  "rootLogger.appenderRef.c.ref = C",
].join("\n")

/** A folder with `libs/` and `log4j2.properties`. */
export const kafkaDist = (): Promise<string> =>
  made(`kafka-${kafkaVersion}`, (folder) => {
    writeFileSync(join(folder, "pom.xml"), kafkaPom)
    writeFileSync(join(folder, "log4j2.properties"), kafkaLogging)
    const copy = [
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      "-DoutputDirectory=libs",
    ]
    execFileSync("mvn", ["-q", "-B", "-Dstyle.color=never", ...copy], {
      cwd: folder,
      stdio: ["ignore", 2, 2],
    })
  })

/** A folder with Apicurio's runner. Its parent POM is not published: one artifact, no project. */
export const apicurioDist = (): Promise<string> =>
  made(`apicurio-${apicurioVersion}`, (folder) => {
    const name = `apicurio-registry-app-${apicurioVersion}-all.tar.gz`
    const artifact = `io.apicurio:apicurio-registry-app:${apicurioVersion}:tar.gz:all`
    const get = ["dependency:get", "-Dtransitive=false", `-Dartifact=${artifact}`]
    execFileSync("mvn", ["-q", "-B", "-Dstyle.color=never", ...get], {
      cwd: folder,
      stdio: ["ignore", 2, 2],
    })
    const maven = process.env["MAVEN_REPO"] ?? join(homedir(), ".m2", "repository")
    const at = join(maven, "io", "apicurio", "apicurio-registry-app", apicurioVersion, name)
    execFileSync("tar", ["xzf", at, "-C", folder])
  })

/**
 * Java's flag for the archive of loaded classes of a dist: to use it where there is one, else to
 * write it when this server stops. Only one JVM writes it, and only for as long as it takes.
 */
export const classArchive = (dist: string): ReadonlyArray<string> => {
  const archive = join(dist, "classes.jsa")
  if (existsSync(archive)) return [`-XX:SharedArchiveFile=${archive}`, "-Xshare:auto"]
  return tryMake(`${archive}.made`) ? [`-XX:ArchiveClassesAtExit=${archive}`] : []
}

export const runnerJar = (dist: string): string => {
  const jar = readdirSync(dist).find((name) => /runner\.jar$|^quarkus-run\.jar$/.test(name))
  if (jar === undefined) throw new Error(`${dist} holds no runner`)
  return join(dist, jar)
}

/** A formatted data folder, stamped out for each node: formatting costs a JVM. */
export const kafkaTemplate = (dist: string, format: (folder: string) => void): Promise<string> =>
  made(`kafka-${kafkaVersion}-formatted`, (folder) => {
    const fresh = join(folder, "data")
    format(fresh)
    cpSync(fresh, folder, { recursive: true })
    rmSync(fresh, { recursive: true })
  })
