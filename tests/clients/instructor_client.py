"""What a program that uses instructor does, in its ways to ask for an object. Prints one JSON object."""

import asyncio
import json
import sys

import instructor
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

url, model = sys.argv[1:]
usual = {"base_url": url + "/v1", "api_key": "none", "max_retries": 0}


class weather(BaseModel):  # named like the function that the model calls
    city: str
    days: int


def ask(client, key: str):
    return client.create(model=model, response_model=weather, messages=[{"role": "user", "content": f"Please #{key}"}],
                         temperature=0, max_tokens=1000, max_retries=0)  # fmt: skip


async def awaited() -> dict:
    client = instructor.from_openai(AsyncOpenAI(**usual), mode=instructor.Mode.TOOLS)
    return (await ask(client, "one")).model_dump()


tools = instructor.from_openai(OpenAI(**usual), mode=instructor.Mode.TOOLS)
schema = instructor.from_openai(OpenAI(**usual), mode=instructor.Mode.JSON_SCHEMA)
plain = instructor.from_openai(OpenAI(**usual), mode=instructor.Mode.JSON)
print(json.dumps({
    "tools": ask(tools, "one").model_dump(),
    "awaited": asyncio.run(awaited()),
    "schema": ask(schema, "object").model_dump(),
    "plain": ask(plain, "object").model_dump(),
}))  # fmt: skip
