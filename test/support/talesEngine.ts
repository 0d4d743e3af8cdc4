// The bundled model through the native engine, with a small pool.
import { nativeDefaults, type NativeEngineOptions } from "../../src/generate/engine/NativeEngine.ts"
import { projectRoot } from "./shared.ts"

export const talesFolder = `${projectRoot}models/tales-11m`

export const talesOptions: NativeEngineOptions = {
  ...nativeDefaults,
  folder: talesFolder,
  model: "tales-11m",
  eosIds: [1, 4],
  kvBytes: 64 * 2 ** 20,
}
