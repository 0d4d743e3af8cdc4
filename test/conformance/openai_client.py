"""OpenAI's own Python client, unmodified, against a running server.

Usage: openai_client.py <base url>. Prints what it read as one JSON line. Every field of
the line is checked by openaiPython.test.ts."""

import json
import sys

import openai
import pydantic
from openai.types.responses import Response, ResponseStreamEvent

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
model = client.models.list().data[0].id
shared = {"model": model, "seed": 5, "max_tokens": 30}
messages = [{"role": "user", "content": "Tell me a tale."}]
said = {}

whole = client.completions.create(prompt="Once", **shared)
said["text"] = whole.choices[0].text
said["tokens"] = whole.usage.completion_tokens

# A stream whose first token is late or whose pauses are long sees heartbeats between events.
stream = client.completions.create(
    prompt="Once", stream=True, stream_options={"include_usage": True}, **shared
)
chunks = list(stream)
said["streamed"] = "".join(c.choices[0].text for c in chunks if c.choices)
said["streamed_tokens"] = chunks[-1].usage.completion_tokens

chat = client.chat.completions.create(messages=messages, n=2, logprobs=True, **shared)
said["choices"] = len(chat.choices)
said["logprobs"] = [len(c.logprobs.content) for c in chat.choices]
chat_stream = client.chat.completions.create(messages=messages, stream=True, n=2, **shared)
parts = ["", ""]
for chunk in chat_stream:
    for choice in chunk.choices:
        parts[choice.index] += choice.delta.content or ""
said["chat"] = [c.message.content for c in chat.choices]
said["chat_streamed"] = parts

try:
    client.completions.create(model="nobody", prompt="x")
except openai.NotFoundError as error:
    said["not_found"] = error.code

raw = client.completions.with_raw_response.create(
    model=model, prompt="x", max_tokens=500, stream=True
)
request_id = raw.headers["x-request-id"]
try:
    for i, _ in enumerate(raw.parse()):
        if i == 0:
            client.delete(f"/requests/{request_id}", cast_to=object)
except openai.APIError as error:
    said["in_stream"] = error.code

def once(events):
    """Heartbeats that are events repeat the number of the last one: those are left out."""
    first = {}
    for event in events:
        assert event.sequence_number >= len(first) - 1
        first.setdefault(event.sequence_number, event)
    return list(first.values())


# Responses: each event is held against the client's own model of it, more strictly than the
# client does.
strict = pydantic.TypeAdapter(ResponseStreamEvent)
story = {"model": model, "input": "Tell me a tale.", "max_output_tokens": 30, "temperature": 0}
told = list(client.responses.create(stream=True, background=True, **story))
for event in told:
    strict.validate_python(event.to_dict())
events = once(told)
said["repeated"] = len(told) - len(events)
said["numbers"] = [e.sequence_number for e in events] == list(range(len(events)))
response_id = events[0].response.id
rest = client.responses.retrieve(response_id, stream=True, starting_after=9)
said["resumed"] = once([events[9], *rest])[1:] == events[10:]
done = client.responses.retrieve(response_id)
Response.model_validate(done.to_dict(), strict=True)
deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
said["response"] = done.output_text == "".join(deltas) and len(deltas) == 30
# The helper knows one good end: one that came to a stop.
with client.responses.stream(**story, extra_body={"stop": deltas[6]}) as helper:
    for _ in helper:
        pass
    final = helper.get_final_response()
said["helper"] = final.status == "completed" and done.output_text.startswith(final.output_text)
running = client.responses.create(**{**story, "max_output_tokens": 400}, background=True)
said["cancelled"] = client.responses.cancel(running.id).status

# ResponsesWS: the same answer over a socket.
with client.responses.connect() as connection:
    connection.response.create(**story)
    for event in connection:
        if event.type in ("response.completed", "response.incomplete"):
            break
    said["socket"] = event.response.output_text == done.output_text

print(json.dumps(said))
