"""What a program that uses the OpenAI Agents SDK does, whose way of asking is the Responses API. Prints one JSON object."""

import asyncio
import json
import sys

from agents import (Agent, ModelSettings, OpenAIResponsesModel, Runner, SQLiteSession, function_tool,
                    set_tracing_disabled)  # fmt: skip
from openai import AsyncOpenAI

url, model = sys.argv[1:]
set_tracing_disabled(True)
asked: list[dict] = []


@function_tool
def weather(city: str, days: int) -> str:
    """Tells the weather.

    Args:
        city: where
        days: how many
    """
    asked.append({"city": city, "days": days})
    return "It rains. #plain"


@function_tool
def note(text: str) -> str:
    """Keeps a note."""
    asked.append({"text": text})
    return "Kept. #plain"


def agent_of(**settings) -> Agent:
    client = AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    return Agent(name="Helper", instructions="Be brief.", tools=[weather, note],
                 model=OpenAIResponsesModel(model=model, openai_client=client),
                 model_settings=ModelSettings(temperature=0, **settings))  # fmt: skip


async def main() -> dict:
    looped = await Runner.run(agent_of(), "Please #one")
    kinds = []
    streamed = Runner.run_streamed(agent_of(), "Please #two")
    async for event in streamed.stream_events():
        if event.type == "raw_response_event":
            kinds.append(event.data.type)
    stored = await Runner.run(agent_of(), "Please #one", auto_previous_response_id=True)
    stateless = await Runner.run(agent_of(store=False, response_include=["reasoning.encrypted_content"]), "Please #one")
    session = SQLiteSession("one")
    first = await Runner.run(agent_of(), "Please #plain", session=session)
    second = await Runner.run(agent_of(), "Please #again", session=session)
    return {
        "looped": looped.final_output,
        "calls": looped.context_wrapper.usage.requests,
        "tokens": looped.context_wrapper.usage.total_tokens,
        "streamed": streamed.final_output,
        "kinds": kinds,
        "stored": stored.final_output,
        "last": stored.last_response_id,
        "stateless": stateless.final_output,
        "session": [first.final_output, second.final_output],
        "asked": asked,
    }


print(json.dumps(asyncio.run(main())))
