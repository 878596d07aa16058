"""An agent's loop: the model calls tools of an MCP server, a program of its own, until it has said all. Prints one JSON
object."""

import asyncio
import json
import sys

import anthropic
import openai
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

url, model, *command = sys.argv[1:]
ASKED = [{"role": "user", "content": "Please #echo"}]


def text_of(result) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


async def by_anthropic(session: ClientSession, tools) -> dict:
    client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
    offered = [{"name": one.name, "description": one.description or "", "input_schema": schema_of(one)} for one in tools]
    messages, gave = list(ASKED), []
    for _ in range(4):
        answer = await client.messages.create(model=model, max_tokens=1000, messages=messages, tools=offered)
        messages.append({"role": "assistant", "content": answer.content})
        if answer.stop_reason != "tool_use":
            break
        results = []
        for block in answer.content:
            if block.type != "tool_use":
                continue
            done = await session.call_tool(block.name, block.input)
            gave.append(text_of(done))
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": gave[-1]}]})
        messages.append({"role": "user", "content": results})
    return {"gave": gave, "said": answer.content[-1].text}


async def by_openai(session: ClientSession, tools) -> dict:
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    offered = [{"type": "function", "function": {
        "name": one.name, "description": one.description or "", "parameters": schema_of(one)}} for one in tools]  # fmt: skip
    messages, gave = list(ASKED), []
    for _ in range(4):
        answer = (await client.chat.completions.create(model=model, messages=messages, tools=offered)).choices[0]
        messages.append(answer.message.model_dump(exclude_none=True))
        if answer.finish_reason != "tool_calls":
            break
        for call in answer.message.tool_calls:
            done = await session.call_tool(call.function.name, json.loads(call.function.arguments))
            gave.append(text_of(done))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": gave[-1]})
    return {"gave": gave, "said": answer.message.content}


def schema_of(tool) -> dict:
    return getattr(tool, "input_schema", None) or tool.inputSchema


async def main() -> None:
    async with stdio_client(StdioServerParameters(command=command[0], args=command[1:])) as (reads, writes):
        async with ClientSession(reads, writes) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            print(json.dumps({"tools": [one.name for one in tools], "anthropic": await by_anthropic(session, tools),
                              "openai": await by_openai(session, tools)}))  # fmt: skip


asyncio.run(main())
