"""What a program that uses LangChain's Ollama package does. Prints one JSON object."""

import asyncio
import json
import sys

from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

url, model = sys.argv[1:]
SCHEMA = {
    "title": "Count",
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 9}},
    "required": ["n"],
    "additionalProperties": False,
}
usual = {"model": model, "base_url": url, "temperature": 0, "num_predict": 16}
chat = ChatOllama(**usual, keep_alive="5m", seed=1, top_k=10, stop=["no such text"])
try:
    ChatOllama(model="nobody", base_url=url, validate_model_on_init=True)
    unknown = ""
except ValueError as error:
    unknown = str(error)
answer = chat.invoke([("system", "Be brief."), ("human", "Hello"), ("ai", "Hello!"), ("human", "And now?")])

print(json.dumps({
    "answer": answer.content,
    "done": answer.response_metadata["done_reason"],
    "usage": answer.usage_metadata,
    "invoked": chat.invoke("Hello").content,
    "streamed": "".join(part.content for part in chat.stream("Hello")),
    "awaited": asyncio.run(chat.ainvoke("Hello")).content,
    "structured": ChatOllama(model=model, base_url=url, temperature=0)
    .with_structured_output(SCHEMA, method="json_schema")
    .invoke("Hello"),
    "completed": OllamaLLM(**usual, validate_model_on_init=True).invoke("Hello"),
    "vectors": [len(vector) for vector in OllamaEmbeddings(model=model, base_url=url).embed_documents(["a", "b"])],
    "unknown": unknown,
}))  # fmt: skip
