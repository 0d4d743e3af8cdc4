// Which version of a model a request goes to. One version is served now; a rollout decides here, by a
// hash of the request's id, so that a repeated submit of one id goes the same way.
import type { ServedModel } from "./ModelCatalog.ts"

export const chooseVersion = (model: ServedModel, _requestId: string): string => model.version
