// Numbers and times as people read them.
export const count = (value: number): string =>
  value >= 10_000 ? `${(value / 1000).toFixed(value >= 100_000 ? 0 : 1)}k` : value.toFixed(0)

export const rate = (value: number): string => (value < 10 ? value.toFixed(1) : count(value))

export const ms = (value: number | null): string =>
  value === null
    ? "–"
    : value < 1000
      ? `${value.toFixed(0)} ms`
      : value < 60_000
        ? `${(value / 1000).toFixed(1)} s`
        : `${(value / 60_000).toFixed(1)} min`

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`

export const clock = (at: number): string => new Date(at).toLocaleTimeString()
