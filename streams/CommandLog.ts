// The log of what workers should know at once: that a request was cancelled. It settles nothing
// (the Cancelled entry in the token log does); a command that is lost or late only wastes steps. So
// readers follow from the end and no group commits.
import { Context, Effect, Layer, type Scope } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { RequestCancelled } from "../schemas/types.ts"
import { Log, type LogError } from "./Log.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { commandTopic } from "./topics.ts"

export interface CommandTail {
  readonly onCommands: (commands: ReadonlyArray<ReadRecord<RequestCancelled>>) => void
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

export class CommandLog extends Context.Service<
  CommandLog,
  {
    /** Durable when it succeeds. May be repeated: readers treat a second one as the first. */
    readonly append: (command: RequestCancelled) => Effect.Effect<number, LogError>
    /** Follows the commands that are appended from now on, until the scope closes. */
    readonly tail: (options: CommandTail) => Effect.Effect<void, LogError, Scope.Scope>
  }
>()("sluice/streams/CommandLog") {
  static readonly layer = Layer.effect(
    CommandLog,
    Effect.map(Log, (log) =>
      CommandLog.of({
        append: (command) =>
          Effect.suspend(() =>
            log.append({ topic: commandTopic, partition: 0 }, [
              { key: command.requestId, value: codecs.requestCancelled.encode(command) },
            ]),
          ),
        tail: ({ onCommands, onError }) =>
          log.tail({
            topic: commandTopic,
            from: "end",
            onRecords: (_, records) => onCommands(readRecords(codecs.requestCancelled, records)),
            onError,
          }),
      }),
    ),
  )
}
