// What the router does not say: whether a path exists under another method.
import type { Route } from "./Route.ts"

interface Shape {
  readonly method: Route["method"]
  readonly pattern: RegExp
}

const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll(".", "\\.").replace(/:\w+/g, "[^/]+")}/?$`)

/** The methods that a path has, for a table of routes. */
export const methodsOf = (
  routes: ReadonlyArray<Pick<Route, "method" | "path">>,
): ((path: string) => ReadonlyArray<string>) => {
  const shapes: ReadonlyArray<Shape> = routes.map(({ method, path }) => ({
    method,
    pattern: patternOf(path),
  }))
  return (path) => {
    const methods = shapes.filter((shape) => shape.pattern.test(path)).map((shape) => shape.method)
    return methods.includes("GET") ? [...methods, "HEAD"] : methods
  }
}
