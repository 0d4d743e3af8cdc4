// Why a log cannot do something, as plain data: for what is below the port, pure functions and the
// thread that writes, which starts faster without Effect. At the port it becomes a LogError.
import type { LogError } from "./Log.ts"

export class LogFailure {
  readonly reason: LogError["reason"]
  readonly message: string

  constructor(reason: LogError["reason"], message: string) {
    this.reason = reason
    this.message = message
  }
}
