// A plot of lines as SVG text: axes with round steps, a grid, a legend, and a name for every line
// where the pointer rests. Colours are the page's variables, so that it is read in light and dark.

export interface Line {
  readonly name: string
  /** In rising order of x; a y of null is a gap. */
  readonly points: ReadonlyArray<readonly [x: number, y: number | null]>
  /** As steps: the value holds until the next point. */
  readonly steps?: true
}

export interface PlotOptions {
  readonly title: string
  readonly lines: ReadonlyArray<Line>
  readonly xLabel: string
  readonly showX: (value: number) => string
  readonly showY: (value: number) => string
  readonly logX?: true
  /** Lines across, such as an objective, at this x. */
  readonly markX?: number | null
  readonly markY?: number | null
  readonly yMax?: number
}

const width = 560
const height = 250
const left = 62
const right = 24
const top = 12
const bottom = 40
const stepsWanted = 5
const colours = 5

export const escapeXml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")

/** Round values from 0 to about the largest. */
export const roundSteps = (most: number): ReadonlyArray<number> => {
  if (!(most > 0)) return [0, 1]
  const raw = most / stepsWanted
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= raw) ?? raw
  const count = Math.ceil(most / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, i) => i * step)
}

/** Powers of ten that enclose the values, with 2 and 5 between them where there are few. */
const logSteps = (least: number, most: number): ReadonlyArray<number> => {
  const from = Math.floor(Math.log10(least))
  const to = Math.max(from + 1, Math.ceil(Math.log10(most)))
  const between = to - from <= 2 ? [1, 2, 5] : [1]
  return Array.from({ length: to - from }, (_, i) =>
    between.map((times) => times * 10 ** (from + i)),
  )
    .flat()
    .concat(10 ** to)
}

interface Scale {
  readonly steps: ReadonlyArray<number>
  readonly at: (value: number) => number
}

const linear = (steps: ReadonlyArray<number>, from: number, to: number): Scale => {
  const most = steps.at(-1) ?? 1
  return { steps, at: (value) => from + ((to - from) * Math.min(value, most)) / most }
}

const logarithmic = (steps: ReadonlyArray<number>, from: number, to: number): Scale => {
  const [least = 1] = steps
  const span = Math.log10((steps.at(-1) ?? 10) / least)
  return {
    steps,
    at: (value) => from + ((to - from) * Math.log10(Math.max(value, least) / least)) / span,
  }
}

const pathOf = ({ points, steps }: Line, x: Scale, y: Scale): string => {
  let pen = "M"
  let lastY: number | null = null
  return points
    .map(([px, py]) => {
      if (py === null) {
        pen = "M"
        lastY = null
        return ""
      }
      const at = `${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`
      const before =
        steps && lastY !== null ? `L${x.at(px).toFixed(1)} ${y.at(lastY).toFixed(1)}` : ""
      const part = `${before}${pen}${at}`
      pen = "L"
      lastY = py
      return part
    })
    .join("")
}

const scalesOf = ({ lines, logX, markX, markY, yMax }: PlotOptions) => {
  const xs = lines.flatMap(({ points }) => points.map(([x]) => x))
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y ?? 0))
  const xMost = xs.reduce((most, x) => Math.max(most, x), markX ?? 0)
  const yMost = yMax ?? ys.reduce((most, y) => Math.max(most, y), markY ?? 0)
  const positive = xs.filter((x) => x > 0)
  const xLeast = positive.reduce((least, x) => Math.min(least, x), xMost)
  const x = logX
    ? logarithmic(logSteps(Math.max(1e-3, xLeast), Math.max(1e-2, xMost)), left, width - right)
    : linear(roundSteps(xMost), left, width - right)
  return { x, y: linear(roundSteps(yMost), height - bottom, top) }
}

const axes = (options: PlotOptions, x: Scale, y: Scale): string => {
  const across = y.steps.map((value) => {
    const at = y.at(value).toFixed(1)
    const text = escapeXml(options.showY(value))
    return (
      `<path class="grid" d="M${left} ${at}H${width - right}"/>` +
      `<text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${text}</text>`
    )
  })
  const down = x.steps.map((value) => {
    const at = x.at(value).toFixed(1)
    const text = escapeXml(options.showX(value))
    return (
      `<path class="grid" d="M${at} ${top}V${height - bottom}"/>` +
      `<text x="${at}" y="${height - bottom + 15}" text-anchor="middle">${text}</text>`
    )
  })
  const words = escapeXml(options.xLabel)
  const label = `<text x="${width - right}" y="${height - 4}" text-anchor="end">${words}</text>`
  return [...across, ...down, label].join("")
}

const marks = ({ markX, markY }: PlotOptions, x: Scale, y: Scale): string =>
  (markX == null
    ? ""
    : `<path class="mark" d="M${x.at(markX).toFixed(1)} ${top}V${height - bottom}"/>`) +
  (markY == null
    ? ""
    : `<path class="mark" d="M${left} ${y.at(markY).toFixed(1)}H${width - right}"/>`)

const legend = (lines: ReadonlyArray<Line>): string =>
  lines.length < 2
    ? ""
    : `<ul class="legend">${lines
        .map(({ name }, i) => `<li class="c${i % colours}">${escapeXml(name)}</li>`)
        .join("")}</ul>`

export const linePlot = (options: PlotOptions): string => {
  const { x, y } = scalesOf(options)
  const { title, lines } = options
  const paths = lines.map(
    (line, i) =>
      `<path class="line c${i % colours}" d="${pathOf(line, x, y)}">` +
      `<title>${escapeXml(line.name)}</title></path>`,
  )
  return (
    `<figure><figcaption>${escapeXml(title)}</figcaption>` +
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">` +
    `${axes(options, x, y)}${marks(options, x, y)}${paths.join("")}</svg>${legend(lines)}</figure>`
  )
}
