// The playground's request as others would send it.
export interface Wanted {
  readonly chat: boolean
  readonly body: object
  readonly origin: string
}

export const languages = ["curl", "Python", "TypeScript"] as const

export type Language = (typeof languages)[number]

const pathOf = ({ chat }: Wanted) => (chat ? "/v1/chat/completions" : "/v1/completions")

const curl = (wanted: Wanted): string => {
  const body = JSON.stringify({ ...wanted.body, stream: true }).replaceAll("'", `'\\''`)
  return `curl -N ${wanted.origin}${pathOf(wanted)} \\\n  -H 'content-type: application/json' \\\n  -d '${body}'`
}

const python = (wanted: Wanted): string =>
  [
    "import json",
    "from openai import OpenAI",
    `client = OpenAI(base_url="${wanted.origin}/v1", api_key="none")`,
    `body = json.loads(${JSON.stringify(JSON.stringify(wanted.body))})`,
    `stream = client.${wanted.chat ? "chat.completions" : "completions"}.create(**body, stream=True)`,
    "for event in stream:",
    "    if event.choices:",
    wanted.chat
      ? '        print(event.choices[0].delta.content or "", end="", flush=True)'
      : '        print(event.choices[0].text, end="", flush=True)',
  ].join("\n")

const typescript = (wanted: Wanted): string =>
  [
    'import { SluiceClient } from "sluice/client"',
    `const client = new SluiceClient({ url: "${wanted.origin}" })`,
    `const generation = client.${wanted.chat ? "chat" : "complete"}(${JSON.stringify(wanted.body)})`,
    "for await (const { text } of generation) process.stdout.write(text)",
  ].join("\n")

export const snippet = (language: Language, wanted: Wanted): string =>
  ({ curl, Python: python, TypeScript: typescript })[language](wanted)
