// A trace as the text of a file, in any format that is also read: a head, a line for each request,
// a foot. What a format cannot say is lost in it; nothing is made up.
import { azureColumns, toAzure } from "./format/azure.ts"
import { burstGptHead, toBurstGpt } from "./format/burstGpt.ts"
import { toMooncake } from "./format/mooncake.ts"
import { promptText } from "./format/promptText.ts"
import { toShareGpt } from "./format/shareGpt.ts"
import { toHead, toSluice, type TraceHead } from "./format/sluice.ts"
import { toVllm } from "./format/vllm.ts"
import type { Format, TraceRequest } from "./Trace.ts"

export interface TraceText {
  readonly head: string
  readonly request: (request: TraceRequest) => string
  readonly foot: string
}

const plain = (request: (request: TraceRequest) => string, head = ""): TraceText => ({
  head: head === "" ? "" : `${head}\n`,
  request: (one) => `${request(one)}\n`,
  foot: "",
})

const array = (request: (request: TraceRequest) => string): TraceText => {
  let separator = ""
  return {
    head: "[",
    request: (one) => {
      const text = `${separator}\n${request(one)}`
      separator = ","
      return text
    },
    foot: "\n]\n",
  }
}

export const traceText = (format: Format, head: TraceHead): TraceText => {
  switch (format) {
    case "sluice":
      return plain(toSluice, toHead(head))
    case "mooncake":
      return plain(toMooncake())
    case "azure":
      return plain(toAzure, azureColumns.join(","))
    case "burstgpt":
      return plain(toBurstGpt, burstGptHead)
    case "vllm":
      return plain(toVllm)
    case "sharegpt":
      return array(toShareGpt)
    case "prompts":
      return plain((request) => promptText(request).replaceAll(/[\r\n]+/g, " "))
  }
}
