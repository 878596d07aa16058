"""What a program that uses LiteLLM does, by way of both APIs. Prints one JSON object."""

import asyncio
import json
import sys

import litellm

url, model, thinker = sys.argv[1:]
TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Tells the weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}]  # fmt: skip
WAYS = {"openai": {"api_base": url + "/v1"}, "anthropic": {"api_base": url}}


def ask(way: str, key: str, by: str = model, **more):
    return litellm.completion(model=f"{way}/{by}", messages=[{"role": "user", "content": f"Please #{key}"}],
                              max_tokens=1000, api_key="none", num_retries=0, **WAYS[way] | more)  # fmt: skip


def with_tools(way: str) -> dict:
    first = ask(way, "one", tools=TOOLS).choices[0]
    calls = [(one.function.name, json.loads(one.function.arguments)) for one in first.message.tool_calls]
    messages = [{"role": "user", "content": "Please #one"}, first.message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": one.id, "content": "22 degrees #plain"} for one in first.message.tool_calls]
    after = litellm.completion(model=f"{way}/{model}", messages=messages, tools=TOOLS, max_tokens=1000, api_key="none", **WAYS[way])
    return {"calls": calls, "reason": first.finish_reason, "after": after.choices[0].message.content}


async def awaited(way: str) -> str:
    answer = await litellm.acompletion(model=f"{way}/{model}", messages=[{"role": "user", "content": "Please #plain"}],
                                       max_tokens=100, api_key="none", **WAYS[way])  # fmt: skip
    return answer.choices[0].message.content


def error_of(way: str) -> str:
    try:
        ask(way, "plain", by="nobody")
        return ""
    except litellm.exceptions.NotFoundError as error:
        return f"{error.status_code}"


def all_of(way: str) -> dict:
    chunks = list(ask(way, "one", tools=TOOLS, stream=True))
    streamed = litellm.stream_chunk_builder(chunks).choices[0].message
    whole = ask(way, "plain")
    return {
        "said": whole.choices[0].message.content,
        "tokens": [whole.usage.prompt_tokens > 0, whole.usage.completion_tokens > 0],
        "streamed": "".join(part.choices[0].delta.content or "" for part in ask(way, "plain", stream=True)),
        "streamed_calls": [(one.function.name, json.loads(one.function.arguments)) for one in streamed.tool_calls],
        "tools": with_tools(way),
        "thought": ask(way, "thought", by=thinker).choices[0].message.reasoning_content,
        "awaited": asyncio.run(awaited(way)),
        "unknown": error_of(way),
    }


print(json.dumps({way: all_of(way) for way in WAYS}))
