// The Vercel AI SDK's own transport of useChat (npm ai, DefaultChatTransport), unmodified: it
// sends, reads, is torn away and reconnects, and its reader makes the message of what it read.
import { pathToFileURL } from "node:url"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { npmClient } from "../support/conformance/npmClient.ts"
import { useServer } from "../support/conformance/server.ts"

const { folder, missing } = await npmClient({ ai: "7.0.173", zod: "4.4.3" })

interface Message {
  readonly id: string
  readonly role: string
  readonly metadata?: { readonly requestId?: string }
  readonly parts: ReadonlyArray<{ readonly type: string; readonly text?: string }>
}

interface Chunk {
  readonly type: string
  readonly delta?: string
  readonly errorText?: string
  readonly finishReason?: string
  readonly messageMetadata?: { readonly requestId: string; readonly usage?: object }
}

interface Transport {
  readonly sendMessages: (options: object) => Promise<ReadableStream<Chunk>>
  readonly reconnectToStream: (options: object) => Promise<ReadableStream<Chunk> | null>
}

/** What the test uses of the package. */
interface Ai {
  readonly DefaultChatTransport: new (options: object) => Transport
  readonly readUIMessageStream: (options: {
    readonly stream: ReadableStream<Chunk>
  }) => AsyncIterable<Message>
}

const load = async (): Promise<Ai> =>
  import(pathToFileURL(join(folder, "node_modules", "ai", "dist", "index.js")).href)

describe.skipIf(missing !== null)(`useChat${missing === null ? "" : ` (${missing})`}`, () => {
  const server = useServer()

  const transportOf = async (body: object) =>
    new (await load()).DefaultChatTransport({ api: `${server.url}/v1/ui/chat`, body })

  let chats = 0
  const ask = (text = "Tell me a tale.") => ({
    chatId: `chat-${chats++}`,
    trigger: "submit-message",
    messages: [{ id: "m1", role: "user", parts: [{ type: "text", text }] }],
  })

  const chunksOf = async (stream: ReadableStream<Chunk>) => {
    const chunks: Array<Chunk> = []
    for await (const chunk of stream) chunks.push(chunk)
    return chunks
  }

  const cancel = (chunks: ReadonlyArray<Chunk>) =>
    fetch(`${server.url}/v1/requests/${chunks[0]?.messageMetadata?.requestId}`, {
      method: "DELETE",
    })

  it("reads an answer as one message", async () => {
    const { readUIMessageStream } = await load()
    const transport = await transportOf({ max_tokens: 12, temperature: 0 })
    const [one, other] = (await transport.sendMessages(ask())).tee()
    let message: Message | null = null
    for await (const step of readUIMessageStream({ stream: one })) message = step
    const chunks = await chunksOf(other)
    assert.deepStrictEqual(
      chunks.map(({ type }) => type).filter((type) => type !== "text-delta"),
      ["start", "start-step", "text-start", "text-end", "finish-step", "finish"],
    )
    assert.strictEqual(chunks.at(-1)?.finishReason, "length")
    assert.nestedPropertyVal(chunks.at(-1), "messageMetadata.usage.completion_tokens", 12)
    const text = chunks.map(({ delta }) => delta ?? "").join("")
    assert.deepStrictEqual(
      message?.parts.map((part) => part.text ?? ""),
      ["", text],
    )
    assert.match(message?.id ?? "", /^msg_/)
  })

  it("is torn away, and reconnects to the whole answer", async () => {
    const transport = await transportOf({ max_tokens: 60, temperature: 0 })
    const options = { ...ask(), chatId: "ä/b c?d" }
    const controller = new AbortController()
    const stream = await transport.sendMessages({ ...options, abortSignal: controller.signal })
    const reader = stream.getReader()
    for (let i = 0; i < 10; i++) await reader.read()
    controller.abort()
    const again = await transport.reconnectToStream({ chatId: options.chatId })
    assert.isNotNull(again)
    if (again === null) return
    const chunks = await chunksOf(again)
    const requestId = chunks[0]?.messageMetadata?.requestId
    const response = await fetch(`${server.url}/v1/requests/${requestId}`)
    const whole: { choices: ReadonlyArray<{ text: string }> } = JSON.parse(await response.text())
    const text = chunks.map(({ delta }) => delta ?? "").join("")
    assert.strictEqual(text, whole.choices[0]?.text)
    assert.strictEqual(chunks.at(-1)?.type, "finish")
    assert.isNull(await transport.reconnectToStream({ chatId: options.chatId }), "it is over")
  })

  it("reconnects to nothing where nothing runs, and to the newest where two do", async () => {
    const transport = await transportOf({ max_tokens: 400 })
    assert.isNull(await transport.reconnectToStream({ chatId: "nobody's" }))
    const options = ask()
    const first = (await transport.sendMessages(options)).getReader()
    const second = (await transport.sendMessages(options)).getReader()
    const begun = [(await first.read()).value, (await second.read()).value]
    const again = await transport.reconnectToStream({ chatId: options.chatId })
    const reader = again?.getReader()
    const chunk = (await reader?.read())?.value
    assert.deepStrictEqual(chunk, begun[1])
    for (const start of begun) await cancel(start === undefined ? [] : [start])
    await Promise.all([first.cancel(), second.cancel(), reader?.cancel()])
  })

  it("is told of a cancel, and of what is wrong", async () => {
    const transport = await transportOf({ max_tokens: 400 })
    const chunks: Array<Chunk> = []
    for await (const chunk of await transport.sendMessages(ask())) {
      chunks.push(chunk)
      if (chunks.length === 5) await cancel(chunks)
    }
    assert.strictEqual(chunks.at(-2)?.type, "abort")
    assert.strictEqual(chunks.at(-1)?.finishReason, "other")
    const wrong = { ...ask(), messages: [{ id: "m", role: "user", parts: [{ type: "file" }] }] }
    const error = await transport.sendMessages(wrong).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    assert.match(String(error), /messages\[0\]\.parts\[0\]: only text parts/)
  })
})
