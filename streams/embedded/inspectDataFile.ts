// Looks at LMDB's data file before it is mapped: a file that is none, or that was cut, would not
// fail when it is read but end the process by a signal. Knows LMDB's meta pages and nothing else of
// the file.
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { LogFailure } from "../LogFailure.ts"
import { pagesInUse } from "./pagesInUse.ts"

const metaBytes = 192
const magicAt = 24
const magic = 0xbeefc0de
/**
 * From the magic number on: u32 magic, u32 version, u64 address, u64 map size, the two root tables.
 */
const tableBytes = 48
const tablesAt = magicAt + 24
const lastPageAt = tablesAt + 2 * tableBytes
const noRoot = 0xffff_ffff_ffff_ffffn
const pageSizes = [4096, 8192, 16384, 32768, 65536]

interface Meta {
  readonly pageBytes: number
  readonly roots: ReadonlyArray<number>
  readonly lastPage: number
  readonly transaction: bigint
}

const readMeta = (file: number, at: number): Meta | null => {
  const bytes = Buffer.alloc(metaBytes)
  if (readSync(file, bytes, 0, metaBytes, at) < metaBytes) return null
  if (bytes.readUInt32LE(magicAt) !== magic) return null
  const roots = [0, 1].map((table) => bytes.readBigUInt64LE(tablesAt + table * tableBytes + 40))
  return {
    pageBytes: bytes.readUInt32LE(tablesAt),
    roots: roots.filter((root) => root !== noRoot).map(Number),
    lastPage: Number(bytes.readBigUInt64LE(lastPageAt)),
    transaction: bytes.readBigUInt64LE(lastPageAt + 8),
  }
}

/** What is wrong with the file, or null. */
const inspect = (file: number): string | null => {
  const size = fstatSync(file).size
  if (size === 0) return null
  const first = readMeta(file, 0)
  if (first === null) return "it is no LMDB file"
  if (!pageSizes.includes(first.pageBytes)) return `its pages have ${first.pageBytes} bytes`
  const second = readMeta(file, first.pageBytes)
  if (second === null) return "its second meta page is missing"
  const newest = second.transaction > first.transaction ? second : first
  const pages = Math.floor(size / first.pageBytes)
  // Pages at the end that a transaction took and gave back may never have been written.
  if (newest.lastPage < pages) return null
  const needed = pagesInUse(file, first.pageBytes, newest.roots)
  if (needed <= pages || isWrittenMeanwhile(file, newest)) return null
  return `it was cut: ${newest.lastPage + 1} pages were taken, ${pages} are there`
}

/** Another process has the log open, so that it was inspected, and what was read here is mixed. */
const isWrittenMeanwhile = (file: number, { pageBytes, transaction }: Meta): boolean =>
  [0, pageBytes].some((at) => (readMeta(file, at)?.transaction ?? 0n) > transaction)

const openIfThere = (path: string): number | null => {
  try {
    return openSync(path, "r")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
    throw error
  }
}

/** Null for a file that is missing, empty or sound as far as this can tell. */
export const inspectDataFile = (folder: string): LogFailure | null => {
  const path = join(folder, "data.mdb")
  const file = openIfThere(path)
  if (file === null) return null
  try {
    const wrong = inspect(file)
    return wrong === null ? null : new LogFailure("corrupt", `${path} is damaged: ${wrong}.`)
  } finally {
    closeSync(file)
  }
}
