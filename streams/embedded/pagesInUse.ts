// How far LMDB's data file has to reach: one past the furthest page that its tables refer to, found
// by walking them. A file may lawfully be shorter than the last page that was ever taken, where a
// transaction took pages at the end and gave them back unwritten; then only this tells whether it
// was cut. Knows how LMDB's pages refer to each other and nothing of what is in them.
//
//     page: | number u64 | transaction u64 | - u16 | flags u16 | lower u16 | upper u16 | nodes at |
//     node: | low u16 | high u16 | flags u16 | key bytes u16 | key | data |
import { readSync } from "node:fs"

const headBytes = 24
const flagsAt = 18
const lowerAt = 20
const branchPage = 1
const leafPage = 2

const nodeHeadBytes = 8
/** A leaf's data is in pages of their own: | page u64 | transaction u64 | pages u64 |. */
const bigNode = 1
/** A leaf's data describes a table; its root stands at the end. */
const tableNode = 2
const rootWithinTable = 40
const noRoot = 0xffff_ffff_ffff_ffffn

/** A page that refers to nothing that can be, as one does that was never written. */
const malformed = Number.POSITIVE_INFINITY

interface Walk {
  readonly waiting: Array<number>
  end: number
}

const followData = (page: Buffer, at: number, flags: number, walk: Walk): void => {
  if ((flags & bigNode) !== 0) {
    const pages = Number(page.readBigUInt64LE(at + 16))
    walk.end = Math.max(walk.end, Number(page.readBigUInt64LE(at)) + pages)
  } else if ((flags & tableNode) !== 0) {
    const root = page.readBigUInt64LE(at + rootWithinTable)
    if (root !== noRoot) walk.waiting.push(Number(root))
  }
}

const followPage = (page: Buffer, walk: Walk): void => {
  const isBranch = (page.readUInt16LE(flagsAt) & branchPage) !== 0
  const isLeaf = (page.readUInt16LE(flagsAt) & leafPage) !== 0
  if (!isBranch && !isLeaf) throw new RangeError("neither a branch nor a leaf")
  const nodes = page.readUInt16LE(lowerAt) / 2
  for (let i = 0; i < nodes; i++) {
    const node = headBytes + page.readUInt16LE(headBytes + 2 * i)
    const flags = page.readUInt16LE(node + 4)
    if (isBranch) walk.waiting.push(page.readUInt32LE(node) + flags * 2 ** 32)
    else followData(page, node + nodeHeadBytes + page.readUInt16LE(node + 6), flags, walk)
  }
}

/** Infinite where it finds a page that is none. */
export const pagesInUse = (
  file: number,
  pageBytes: number,
  roots: ReadonlyArray<number>,
): number => {
  const walk: Walk = { waiting: [...roots], end: 0 }
  const page = Buffer.alloc(pageBytes)
  try {
    for (let next = walk.waiting.pop(); next !== undefined; next = walk.waiting.pop()) {
      walk.end = Math.max(walk.end, next + 1)
      if (readSync(file, page, 0, pageBytes, next * pageBytes) < pageBytes) return walk.end
      followPage(page, walk)
    }
    return walk.end
  } catch (error) {
    if (error instanceof RangeError) return malformed
    throw error
  }
}
