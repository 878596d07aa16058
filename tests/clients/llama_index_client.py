"""What a program that uses LlamaIndex's Ollama packages does. Prints one JSON object."""

import asyncio
import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel, ConfigDict, Field

url, model = sys.argv[1:]


class Count(BaseModel):
    model_config = ConfigDict(extra="forbid")  # the toy model would never come to an end
    n: int = Field(ge=0, le=9)


usual = {"model": model, "base_url": url, "temperature": 0, "request_timeout": 60}
llm = Ollama(**usual, additional_kwargs={"num_predict": 16})
hello = [ChatMessage(role="user", content="Hello")]
embed = OllamaEmbedding(model_name=model, base_url=url)

print(json.dumps({
    "completed": llm.complete("Hello").text,
    "streamed": "".join(part.delta for part in llm.stream_complete("Hello")),
    "chat": llm.chat(hello).message.content,
    "chat_streamed": "".join(part.delta for part in llm.stream_chat(hello)),
    "awaited": asyncio.run(llm.acomplete("Hello")).text,
    "structured": Ollama(**usual).as_structured_llm(Count).complete("Hello").raw.model_dump(),
    "vectors": [len(vector) for vector in embed.get_text_embedding_batch(["a", "b"])],
}))  # fmt: skip
