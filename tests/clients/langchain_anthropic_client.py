"""What a program that uses LangChain's Anthropic package does. Prints one JSON object."""

import asyncio
import json
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

url, model, thinker = sys.argv[1:]


@tool
def weather(city: str, days: int = 1) -> str:
    """Tells the weather"""
    return f"{city}: 22 degrees #plain"


usual = {"base_url": url, "api_key": "none", "max_tokens": 1000, "max_retries": 0}
chat = ChatAnthropic(model=model, **usual)
with_tools = chat.bind_tools([weather])
asked = [HumanMessage("Please #one")]
first = with_tools.invoke(asked)
results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
pieces = list(with_tools.stream(asked))
gathered = pieces[0]
for piece in pieces[1:]:
    gathered = gathered + piece
thinking = ChatAnthropic(model=thinker, **usual | {"max_tokens": 4000}, thinking={"type": "enabled", "budget_tokens": 1024})
thought = thinking.invoke("Please #thought")
again = thinking.invoke([HumanMessage("Please #thought"), thought, HumanMessage("Please #plain")])

print(json.dumps({
    "said": chat.invoke("Please #plain").content,
    "streamed": "".join(part.text for part in chat.stream("Please #plain")),
    "awaited": asyncio.run(chat.ainvoke("Please #plain")).content,
    "calls": [(call["name"], call["args"]) for call in first.tool_calls],
    "gathered": [(call["name"], call["args"]) for call in gathered.tool_calls],
    "after": with_tools.invoke([*asked, first, *results]).content,
    "usage": first.usage_metadata,
    "gathered_usage": gathered.usage_metadata,
    "thought": thought.content,
    "again": again.text,
    "counted": chat.get_num_tokens_from_messages(asked, tools=[weather]),
}))  # fmt: skip
