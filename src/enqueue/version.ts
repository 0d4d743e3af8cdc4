// Which version of a model a request goes to: one is served now, and a rollout will decide here.
import type { ServedModel } from "./ModelCatalog.ts"

export const chooseVersion = (model: ServedModel): string => model.version
