"""What a program that uses LlamaIndex with any server of OpenAI's API does. Prints one JSON object."""

import asyncio
import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

url, model = sys.argv[1:]
llm = OpenAILike(model=model, api_base=url + "/v1", api_key="none", is_chat_model=True, is_function_calling_model=True,
                 context_window=8192, temperature=0, max_tokens=1000, max_retries=0, timeout=60)  # fmt: skip
asked = []


def weather(city: str, days: int) -> str:
    """Tells the weather."""
    asked.append([city, days])
    return "22 degrees"


class Weather(BaseModel):
    city: str
    days: int


tool = FunctionTool.from_defaults(weather)
please = [ChatMessage(role="user", content="Please #plain")]
chosen = llm.chat_with_tools([tool], user_msg="Please #one")
calls = [[call.tool_name, call.tool_kwargs] for call in llm.get_tool_calls_from_response(chosen)]
streamed = list(llm.stream_chat_with_tools([tool], user_msg="Please #one"))[-1]
gathered = [[call.tool_name, call.tool_kwargs] for call in llm.get_tool_calls_from_response(streamed)]
result = llm.predict_and_call([tool], user_msg="Please #one")
print(json.dumps({
    "completed": llm.complete("Please #plain").text,
    "streamed": "".join(part.delta for part in llm.stream_complete("Please #plain")),
    "chat": llm.chat(please).message.content,
    "chat_streamed": "".join(part.delta for part in llm.stream_chat(please)),
    "awaited": asyncio.run(llm.achat(please)).message.content,
    "calls": calls, "gathered": gathered, "asked": asked, "result": str(result),
    "tokens": chosen.raw.usage.total_tokens > 0,
}))  # fmt: skip
