"""An independent client: asyncio streams and nothing else. Sends completions at a fixed rate to
an address, and prints the medians of the time to the first token, between tokens, and to the end.
Usage: client.py HOST PORT REQUESTS PER_SECOND
"""
import asyncio
import json
import statistics
import sys
import time

host, port, requests, per_second = sys.argv[1], *map(float, sys.argv[2:5])
first, between, total = [], [], []


async def complete():
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"prompt": "Once upon a time", "max_tokens": 5, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    last = None
    while True:
        line = (await reader.readline()).strip()
        now = time.perf_counter()
        if line == b"data: [DONE]":
            break
        if not line.startswith(b"data: "):
            continue
        choices = json.loads(line[6:]).get("choices") or []
        if not choices or not choices[0].get("text"):
            continue
        (first if last is None else between).append(now - (start if last is None else last))
        last = now
    total.append(time.perf_counter() - start)
    writer.close()


async def main():
    begin = time.perf_counter()
    running = []
    for index in range(int(requests)):
        await asyncio.sleep(max(0, begin + index / per_second - time.perf_counter()))
        running.append(asyncio.create_task(complete()))
    await asyncio.gather(*running)
    medians = {"ttft": first, "itl": between, "e2e": total}
    print(json.dumps({name: 1000 * statistics.median(of) for name, of in medians.items()}))


asyncio.run(main())
