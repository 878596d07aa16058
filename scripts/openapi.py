#!/usr/bin/env python3
"""The description of the HTTP API (OpenAPI 3.1), which the server gives at /openapi.json.

    openapi.py source FILE   writes it as C++ source, for the build
    openapi.py json          prints it
    openapi.py reference     writes docs/API_REFERENCE.md
    openapi.py check         ends with 1 when that is not what would be written

What is written here by hand is held against the parsers by src/api/openapi_test.cpp: every field that one takes must be
here, with its limits, and the reverse.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
INT_MAX = 2**31 - 1


# --- schemas


def schema(what, **rest):
    return {**rest, **({"description": what} if what else {})}


def number(low, high, what, above=False, default=None):
    limits = {"exclusiveMinimum" if above else "minimum": low, "maximum": high}
    return schema(what, type="number", **limits, **({} if default is None else {"default": default}))


def integer(low, high, what, default=None):
    return schema(what, type="integer", minimum=low, maximum=high, **({} if default is None else {"default": default}))


def boolean(what, default=None):
    return schema(what, type="boolean", **({} if default is None else {"default": default}))


def text(what="", **rest):
    return schema(what, type="string", **rest)


def words(what, *values):
    return schema(what, type="string", enum=list(values))


def array(items, what="", **rest):
    return schema(what, type="array", items=items, **rest)


def one_of(what, *schemas):
    return schema(what, anyOf=list(schemas))


def obj(properties, what="", required=(), **rest):
    return schema(what, type="object", properties=properties, additionalProperties=False,
                  **({"required": list(required)} if required else {}), **rest)


def free(what):
    """An object whose members are not ours to say."""
    return schema(what, type="object")


def idle(what="Taken, and changes nothing here."):
    return schema(what)


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


# --- fields that families share

TEXT_PART = obj({"type": words("", "text"), "text": text(), "annotations": idle(), "cache_control": idle()},
                required=("type", "text"))
IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
URL = text("A data URL of a PNG, JPEG, GIF or BMP file: data:image/png;base64,...")
DETAIL = words("Taken, and changes nothing here.", "", "auto", "low", "high", "original")
IMAGE_PART = obj({"type": words("", "image_url"), "cache_control": idle(),
                  "image_url": one_of("", URL, obj({"url": URL, "detail": DETAIL}, required=("url",)))},
                 required=("type", "image_url"))
IMAGES = array(text("Base64 of a PNG, JPEG, GIF or BMP file."), "Images, in front of the text.", maxItems=32)
TOOL_CALL = obj({"id": text(), "index": idle(), "type": idle(),
                 "function": obj({"name": text(), "index": idle(),
                                  "arguments": one_of("JSON of an object, or the object.", text(), free(""))},
                                 required=("name",))},
                "A call that the assistant made.", required=("function",))
MESSAGE = obj({"role": words("", "system", "developer", "user", "assistant", "tool"),
               "content": one_of("", text(), array(one_of("", TEXT_PART, IMAGE_PART))),
               "images": IMAGES,
               "name": text("Of who speaks."),
               "tool_calls": array(TOOL_CALL, "Of the assistant."),
               "tool_call_id": text("Of a tool's message: the call that it answers."),
               "tool_name": text("Ollama's name for the tool that answers."),
               "reasoning_content": text("What the assistant thought before it spoke."),
               "reasoning": text("The same, as newer vLLM calls it."),
               "thinking": text("The same, as Ollama calls it."),
               "annotations": idle(), "id": idle(), "refusal": idle(), "type": idle()},
              required=("role",))
TOOL = obj({"type": words("", "function"),
            "function": obj({"name": text("1 to 128 letters, digits and any of _-.:/", pattern="^[A-Za-z0-9_.:/-]{1,128}$"),
                             "description": text(),
                             "parameters": free("JSON Schema of the arguments."),
                             "strict": boolean("Arguments follow the schema, which they do here in any case.")},
                            required=("name",)),
            "cache_control": idle(), "strict": idle()},
           required=("function",))
ADAPTER = obj({"name": text("An adapter in the catalogue."), "scale": number(-10, 10, "How much of it.", default=1)},
              required=("name",))
RESPONSE_FORMAT = obj({"type": words("", "text", "json_object", "json_schema"),
                       "schema": free("Of json_object: the schema, as llama-server takes it."),
                       "json_schema": obj({"schema": free("JSON Schema that the answer follows."), "name": idle(),
                                           "description": idle(), "strict": idle()}, required=("schema",))})
WITH_SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
SCHEMAS = {"Message": MESSAGE, "Tool": TOOL, "Adapter": ADAPTER, "ResponseFormat": RESPONSE_FORMAT}

SAMPLING = {
    "temperature": number(0, 2, "How freely tokens are drawn; 0 takes the most likely one.", default=0.8),
    "top_p": number(0, 1, "Only the most likely tokens that together have this probability.", above=True, default=0.95),
    "top_k": integer(0, 10000, "Only so many of the most likely tokens; 0: all.", default=40),
    "min_p": number(0, 1, "Only tokens at least so likely, against the most likely one.", default=0.05),
    "repeat_penalty": number(0, 2, "Above 1, what was said lately is less likely.", above=True, default=1),
    "presence_penalty": number(-2, 2, "Taken off the logit of each token that was there.", default=0),
    "frequency_penalty": number(-2, 2, "The same, for each time that it was there.", default=0),
    "seed": integer(-2**63, 2**63 - 1, "Same seed, same request, same company in the batch: same answer. -1: random."),
    "logit_bias": one_of("Added to the logits of tokens, by their ids; false rules one out.",
                         schema("", type="object", maxProperties=300, propertyNames={"pattern": "^[0-9]{1,9}$"},
                                additionalProperties={"anyOf": [number(-1000, 1000, ""), {"const": False}]}),
                         array(array({}, minItems=2, maxItems=2), maxItems=300)),
}
MORE_SAMPLING = {
    "repeat_last_n": integer(-1, 65536, "Tokens that the penalties look at; -1: the most.", default=64),
    "typical_p": number(0, 1, "Locally typical sampling; 1 is off.", above=True, default=1),
    "top_n_sigma": number(-1, 100, "Only tokens within so many standard deviations of the best logit; -1 is off."),
    "xtc_probability": number(0, 1, "How often the most likely tokens are excluded (XTC); 0 is off."),
    "xtc_threshold": number(0, 1, "From which probability on they are.", default=0.1),
    "dynatemp_range": number(0, 2, "How far the temperature moves with the entropy; 0 is off."),
    "dynatemp_exponent": number(0, 10, "How it does.", default=1),
    "dry_multiplier": number(0, 10, "Penalty on repeated sequences (DRY); 0 is off."),
    "dry_base": number(1, 10, "How it grows with their length.", default=1.75),
    "dry_allowed_length": integer(0, 65536, "Shorter ones are free.", default=2),
    "dry_penalty_last_n": integer(-1, 65536, "Tokens that are scanned; -1: the most."),
    "dry_sequence_breakers": array(text(maxLength=64), "What ends a sequence.", maxItems=32),
    "mirostat": integer(0, 2, "Mirostat 1 or 2 in place of everything but penalties; 0 is off."),
    "mirostat_tau": number(0, 20, "The surprise that it aims at.", default=5),
    "mirostat_eta": number(0, 1, "How fast it learns.", default=0.1),
    "min_keep": integer(0, 10000, "Candidates that are left at least."),
    "samplers": array(words("", "penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc",
                            "temperature", "infill"), "The methods, in the order in which they are applied."),
}
STOP = one_of("The answer ends before the first of these.", text(minLength=1, maxLength=256),
              array(text(minLength=1, maxLength=256), maxItems=16))
KEEP_ALIVE = one_of('How long the model stays warm once it is idle: "5m", or seconds; 0 unloads it, -1 keeps it.',
                    text(), {"type": "number"})
MODEL = text("A name from /v1/models; empty: the server's default.", pattern="^([A-Za-z0-9_][A-Za-z0-9._:/-]{0,199})?$")
PRIORITY = integer(-1000, 1000, "Lower runs first. Below 0 with keys: administrators only.", default=0)
GENERATION = {
    "model": MODEL, **SAMPLING, **MORE_SAMPLING,
    "max_tokens": integer(1, INT_MAX, "Of the answer; absent: until the context is full."),
    "stop": STOP,
    "adapters": array(ref("Adapter"), "LoRA adapters that the model is served with.", maxItems=16),
    "response_format": ref("ResponseFormat"),
    "grammar": text("GBNF that the answer follows."),
    "ignore_eos": boolean("Go on past the end (for benchmarks)."),
    "priority": PRIORITY,
    "keep_alive": KEEP_ALIVE,
    "stream": boolean("Answer as it comes, as Server-Sent Events.", default=False),
}
HARMLESS = {name: idle() for name in (
    "cache_prompt", "id_slot", "metadata", "prediction", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "request_id", "safety_identifier", "service_tier", "session_id", "user")}
EFFORT = words("How much is thought, where the model's template knows it.", "", "none", "minimal", "low", "medium",
               "high", "xhigh", "max")
CHAT = {
    "messages": array(ref("Message"), "What was said so far.", minItems=1, maxItems=4096),
    "tools": array(ref("Tool"), "Functions that the assistant may ask for.", maxItems=512),
    "tool_choice": one_of("", words("", "auto", "none", "required"),
                          obj({"type": words("", "function"), "function": obj({"name": text()}, required=("name",))},
                              required=("type", "function"))),
    "parallel_tool_calls": boolean("False: at most one call.", default=True),
    "reasoning_effort": EFFORT,
    "reasoning_budget_tokens": integer(-1, INT_MAX, "Thoughts end after so many tokens; -1: no limit.", default=-1),
    "thinking_budget_tokens": integer(-1, INT_MAX, "Its older name."),
    "reasoning_format": text('"none" leaves thoughts in the answer.'),
    "chat_template_kwargs": schema("Names that the chat template knows, and their values.", type="object", properties={
        "enable_thinking": boolean("Whether the model thinks first."), "reasoning_effort": EFFORT}),
    "continue_final_message": schema("The answer goes on where the assistant's last message ends.", type="boolean"),
    "add_generation_prompt": schema("False: the template does not begin an answer.", type="boolean"),
}
STREAM_OPTIONS = obj({"include_usage": boolean("A last chunk with the usage."), "include_obfuscation": idle()})
LOGPROBS = {"logprobs": boolean("Log-probabilities of the tokens, before any sampling setting."),
            "top_logprobs": integer(0, 20, "And of so many alternatives.")}
NAMED = {"model": MODEL, "name": text("Its older name.")}
STREAMED = boolean("One line of JSON after the other; false: one object.", default=True)
INPUT = one_of("One text, or several; token ids where the route has them.", text(), array({}, minItems=1))
PROMPT = one_of("A text, token ids, or a list of either.", text(), array({}, minItems=1))

IDLE_OPTIONS = {name: idle() for name in ("draft_num_predict", "f16_kv", "low_vram", "main_gpu", "num_batch", "num_gpu",
                                          "num_keep", "num_thread", "numa", "penalize_newline", "use_mlock", "use_mmap")}
OLLAMAS_OWN = {"top_p": {**SAMPLING["top_p"], "default": 0.9}, "min_p": {**SAMPLING["min_p"], "default": 0}}
OPTIONS = obj({**SAMPLING, **OLLAMAS_OWN, **MORE_SAMPLING, **IDLE_OPTIONS, "stop": STOP,
               "num_predict": integer(-2, INT_MAX, "Tokens of the answer; -1: until the context is full; not 0."),
               "num_ctx": integer(1, INT_MAX, "Tokens of the context; a larger one than the model has loads it anew.")})
LOAD_OPTIONS = obj({**IDLE_OPTIONS, "mirostat_eta": idle(), "mirostat_tau": idle(), "num_ctx": idle()})
OLLAMA = {"model": MODEL, "stream": STREAMED, "keep_alive": KEEP_ALIVE, "options": OPTIONS,
          "adapters": GENERATION["adapters"], "shift": boolean("Only false: a full context ends an answer here."),
          "format": one_of('"json", or a JSON Schema that the answer follows.', words("", "", "json"), free("")),
          "think": one_of("Whether the model thinks first, or how much.", {"type": "boolean"},
                          words("", "low", "medium", "high", "max")), **LOGPROBS}
LLAMA = {
    **GENERATION,
    "n_predict": integer(-1, INT_MAX, "Tokens of the answer; -1: until the context is full; 0: only the prompt is read."),
    "n_indent": integer(0, 1000, "The answer ends at a line that is indented by less."),
    "t_max_predict_ms": integer(-1, 86_400_000, "It ends at the end of a line after so long; -1: never."),
    "json_schema": free("JSON Schema that the answer follows."),
    "return_tokens": boolean("The answer's token ids, too."),
    "response_fields": array(text(), "Paths of fields that the answer has, and no others.", maxItems=64),
    "n_probs": integer(0, 0, "Only 0: /v1/completions has logprobs."),
    **{name: idle() for name in ("n_keep", "n_discard", "n_cache_reuse", "t_max_prompt_ms", "timings_per_token",
                                 "return_progress", "sse_ping_interval", "verbose", "backend_sampling",
                                 "post_sampling_probs", "stream_options")},
}

# --- Anthropic's

MARK = obj({"type": words("", "ephemeral"), "ttl": words("", "5m", "1h"), "scope": idle()},
           "That the prompt up to here is worth keeping, which it is anyway.", required=("type",))
BLOCK_TEXT = obj({"type": words("", "text"), "text": text(), "cache_control": MARK, "citations": idle()},
                 required=("type", "text"))
BLOCK_IMAGE = obj({"type": words("", "image"), "cache_control": MARK,
                   "source": one_of("", obj({"type": words("", "base64"), "media_type": text(),
                                             "data": text("Base64 of a PNG, JPEG, GIF or BMP file.")},
                                            required=("type", "media_type", "data")),
                                    obj({"type": words("", "url"), "url": URL}, required=("type", "url")))},
                  required=("type", "source"))
BLOCK = one_of(
    "", BLOCK_TEXT, BLOCK_IMAGE,
    obj({"type": words("Of the assistant.", "thinking"), "thinking": text(), "signature": text()},
        required=("type", "thinking")),
    obj({"type": words("Of the assistant.", "redacted_thinking"), "data": text()}, required=("type", "data")),
    obj({"type": words("Of the assistant.", "tool_use"), "id": text(), "name": text(), "input": free(""),
         "cache_control": MARK, "caller": idle(), "toolset_name": idle()}, required=("type", "id", "name", "input")),
    obj({"type": words("Of the user.", "tool_result"), "tool_use_id": text(),
         "content": one_of("", text(), array(one_of("", BLOCK_TEXT, BLOCK_IMAGE))),
         "is_error": boolean("The tool failed."), "cache_control": MARK,
         "toolset_name": idle()}, required=("type", "tool_use_id")))
SCHEMAS["Block"] = BLOCK
SCHEMAS["AnthropicMessage"] = obj(
    {"role": words("", "user", "assistant", "system"), "content": one_of("", text(), array(ref("Block"))),
     **{name: idle() for name in ("container", "id", "model", "stop_details", "stop_reason", "stop_sequence", "type",
                                  "usage")}}, required=("role", "content"))
SCHEMAS["AnthropicTool"] = obj(
    {"type": words("", "custom"), "name": TOOL["properties"]["function"]["properties"]["name"], "description": text(),
     "input_schema": free("JSON Schema of its input."), "strict": boolean("The input follows it, which it does anyway."),
     "input_examples": array(free(""), "They are told to the model behind the description."),
     "defer_loading": boolean("Only false."), "allowed_callers": array(text(), 'With "direct" among them.'),
     "cache_control": MARK, "eager_input_streaming": idle()}, required=("name", "input_schema"))
SCHEMAS["AnthropicFormat"] = obj({"type": words("", "json_schema"), "schema": free("JSON Schema that the answer follows.")},
                                 required=("type", "schema"))
MESSAGES = {
    **GENERATION, **HARMLESS,
    **{name: CHAT[name] for name in ("reasoning_effort", "reasoning_budget_tokens", "thinking_budget_tokens",
                                     "reasoning_format", "chat_template_kwargs")},
    "max_tokens": integer(0, INT_MAX, "Of the answer; 0 only computes the prompt."),
    "system": one_of("", text(), array(BLOCK_TEXT)),
    "messages": array(ref("AnthropicMessage"), "What was said so far.", minItems=1, maxItems=4096),
    "stop_sequences": STOP, "tools": array(ref("AnthropicTool"), maxItems=512),
    "tool_choice": obj({"type": words("", "auto", "any", "tool", "none"), "name": text("Of tool."),
                        "disable_parallel_tool_use": boolean("At most one call.")}, required=("type",)),
    "thinking": obj({"type": words("", "enabled", "adaptive", "disabled"),
                     "budget_tokens": integer(1, INT_MAX, "Thoughts end after so many tokens."),
                     "display": words("", "", "summarized", "omitted")}),
    "output_config": obj({"effort": words("", "", "low", "medium", "high", "xhigh", "max"),
                          "format": ref("AnthropicFormat")}),
    "output_format": ref("AnthropicFormat"),
    "context_management": obj({"edits": array(obj({
        "type": words("", "clear_thinking_20251015"),
        "keep": one_of("", words("", "all"), obj({"type": words("", "all", "thinking_turns"),
                                                  "value": integer(1, INT_MAX, "Of so many messages.")}))}))}),
    "cache_control": MARK, "diagnostics": idle(), "speed": idle(), "user_profile_id": idle(),
}
MESSAGES_EXAMPLES = (
    {"model": "x", "max_tokens": 8, "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
     "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
                  {"role": "assistant", "content": [
                      {"type": "thinking", "thinking": "Well", "signature": "sutazai"},
                      {"type": "redacted_thinking", "data": "x"},
                      {"type": "tool_use", "id": "a", "name": "weather", "input": {},
                       "cache_control": {"type": "ephemeral"}}]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": False,
                                                "content": [{"type": "text", "text": "sunny"}]}]}],
     "tools": [{"name": "weather", "description": "The weather", "input_schema": {"type": "object"}, "strict": True,
                "input_examples": [{}], "allowed_callers": ["direct"], "cache_control": {"type": "ephemeral"}}],
     "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
     "thinking": {"type": "enabled", "budget_tokens": 100}, "output_config": {"effort": "low"},
     "context_management": {"edits": [{"type": "clear_thinking_20251015",
                                       "keep": {"type": "thinking_turns", "value": 1}}]}},
    {"model": "x", "max_tokens": 8, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "citations": None}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "cache_control": {"type": "ephemeral"},
                                      "content": [{"type": "text", "text": "sunny",
                                                   "cache_control": {"type": "ephemeral"}}]}]}],
     "cache_control": {"type": "ephemeral", "ttl": "1h"}, "adapters": [{"name": "polite"}],
     "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
     "chat_template_kwargs": {"enable_thinking": False}},
    {"model": "x", "max_tokens": 8, "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "weather", "input": {}}]},
        {"role": "user", "content": [
            {"type": "image", "cache_control": {"type": "ephemeral"},
             "source": {"type": "base64", "media_type": "image/png", "data": IMAGE.partition(",")[2]}},
            {"type": "image", "source": {"type": "url", "url": IMAGE}},
            {"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "image", "cache_control": {"type": "ephemeral"},
                 "source": {"type": "base64", "media_type": "image/png", "data": IMAGE.partition(",")[2]}},
                {"type": "image", "source": {"type": "url", "url": IMAGE}}]}]}]},
    {"model": "x", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}],
     "output_format": {"type": "json_schema", "schema": {"type": "object"}}},
    {"model": "x", "max_tokens": 8, "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]},
    {"model": "x", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}],
     "response_format": WITH_SCHEMA_FORMAT},
    {"model": "x", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}],
     "response_format": {"type": "json_object", "schema": {"type": "object"}}})

# --- Responses

PART = obj({"type": words("", "input_text", "input_image", "output_text", "text", "refusal"), "text": text(),
            "refusal": text(), "image_url": URL, "detail": DETAIL,
            **{name: idle() for name in ("annotations", "cache_control", "logprobs", "prompt_cache_breakpoint")}},
           required=("type",))
RESULT_PART = obj({**{name: each for name, each in PART["properties"].items() if name != "refusal"},
                   "type": words("", "input_text", "input_image", "text")}, required=("type",))
THOUGHT = obj({"type": words("", "reasoning_text", "summary_text"), "text": text(),
               **{name: idle() for name in ("annotations", "cache_control", "logprobs", "prompt_cache_breakpoint")}},
              required=("type", "text"))
ID = {"id": text(), "status": idle()}
SCHEMAS["ResponseItem"] = one_of(
    "", obj({"type": words("", "message"), "role": words("", "user", "assistant", "system", "developer"),
             "content": one_of("", text(), array(PART)), "phase": idle(), **ID}, required=("role", "content")),
    obj({"type": words("", "function_call"), "call_id": text(), "name": text(), "arguments": text("JSON of an object."),
         **ID}, required=("type", "call_id", "name")),
    obj({"type": words("", "function_call_output"), "call_id": text(), "output": one_of("", text(), array(RESULT_PART)),
         **ID},
        required=("type", "call_id", "output")),
    obj({"type": words("", "reasoning"), "summary": array(THOUGHT), "content": array(THOUGHT),
         "encrypted_content": text("Of an answer of this server."), **ID}, required=("type",)),
    obj({"type": words("", "item_reference"), "id": text("An item of a stored response.")}, required=("id",)))
SCHEMAS["ResponseTool"] = obj({"type": words("", "function"), **TOOL["properties"]["function"]["properties"],
                               "cache_control": idle()}, required=("type", "name"))
RESPONSE = {
    **{name: each for name, each in GENERATION.items() if name not in ("max_tokens", "response_format")}, **HARMLESS,
    **{name: CHAT[name] for name in ("reasoning_effort", "reasoning_budget_tokens", "thinking_budget_tokens",
                                     "reasoning_format", "chat_template_kwargs", "parallel_tool_calls")},
    "input": one_of("What is said now.", text(), array(ref("ResponseItem"))),
    "instructions": text("The system's text, of this response alone."),
    "previous_response_id": text("A stored response that this one goes on from."),
    "store": boolean("Whether it is kept.", default=True),
    "background": boolean("It goes on when nobody waits for it.", default=False),
    "metadata": schema("Up to 16 pairs.", type="object", maxProperties=16,
                       additionalProperties={"type": "string", "maxLength": 512}),
    "max_output_tokens": integer(1, INT_MAX, "Of the answer, thoughts and calls among them."),
    "tools": array(ref("ResponseTool"), maxItems=512),
    "tool_choice": one_of("", words("", "auto", "none", "required"),
                          obj({"type": words("", "function"), "name": text()}, required=("type", "name")),
                          obj({"type": words("", "allowed_tools"), "mode": words("", "auto", "required"),
                               "tools": array(obj({"type": words("", "function"), "name": text()},
                                                  required=("type", "name")))}, required=("type", "tools"))),
    "reasoning": obj({"effort": EFFORT, "summary": words("The thoughts are told as they are.", "", "auto", "concise", "detailed"),
                      "generate_summary": words("Its older name.", "", "auto", "concise", "detailed")}),
    "text": obj({"verbosity": words("", "medium"),
                 "format": obj({"type": words("", "text", "json_object", "json_schema"), "name": idle(),
                                "schema": free("JSON Schema that the answer follows."), "description": idle(),
                                "strict": idle()}, required=("type",))}),
    "include": array(words("", "message.output_text.logprobs", "reasoning.encrypted_content", "file_search_call.results",
                           "web_search_call.results", "web_search_call.action.sources",
                           "message.input_image.image_url", "code_interpreter_call.outputs",
                           "computer_call_output.output.image_url")),
    "top_logprobs": LOGPROBS["top_logprobs"], "truncation": words("auto: a chat that is too long loses its oldest messages.",
                                                                  "auto", "disabled"),
    "stream_options": STREAM_OPTIONS, "user": text(), "safety_identifier": text(), "prompt_cache_key": text(),
}
RESPONSE_EXAMPLES = (
    {"model": "x", "input": [
        {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Well"}],
         "content": [{"type": "reasoning_text", "text": "Well"}]},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "sunny"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
     "tools": [{"type": "function", "name": "weather", "description": "The weather", "parameters": {"type": "object"},
                "strict": True}],
     "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]},
     "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "medium", "format": {"type": "text"}},
     "stream": True, "stream_options": {"include_usage": True}, "chat_template_kwargs": {"enable_thinking": False}},
    {"model": "x", "input": "Hello", "adapters": [{"name": "polite"}], "store": False,
     "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}}},
    {"model": "x", "input": [{"role": "user", "content": "Hello", "phase": None}],
     "tools": [{"type": "function", "name": "weather"}], "tool_choice": {"type": "function", "name": "weather"}},
    *({"model": "x", "input": [item]} for item in (
        {"role": "user", "content": [{"type": "input_image", "image_url": IMAGE, "detail": "auto"}]},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Well"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Well"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
        {"type": "function_call", "call_id": "a", "name": "weather"})),
    {"model": "x", "input": [{"type": "function_call", "call_id": "a", "name": "weather"},
                             {"type": "function_call_output", "call_id": "a",
                              "output": [{"type": "input_text", "text": "sunny"},
                                         {"type": "input_image", "image_url": IMAGE, "detail": "auto"}]}]})
RESPONSE_ID = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}


def query(name, schema_):
    return {"name": name, "in": "query", "required": False, "schema": schema_}


PAGE = (query("limit", integer(1, 100, "", default=20)), query("order", words("", "asc", "desc")), query("after", text()))

# --- answers

ANSWERS = {
    "Usage": free("`prompt_tokens`, `completion_tokens`, `total_tokens`, and what of them was cached or thought."),
    "ChatCompletion": schema("", type="object", required=["id", "object", "created", "model", "choices", "usage"],
                             properties={"id": text(), "object": text(), "created": {"type": "integer"}, "model": text(),
                                         "choices": array(free("`index`, `message`, `finish_reason`, `logprobs`")),
                                         "usage": ref("Usage")}),
    "Completion": schema("", type="object", required=["id", "object", "created", "model", "choices"],
                         properties={"choices": array(free("`index`, `text`, `finish_reason`, `logprobs`")),
                                     "usage": ref("Usage")}),
    "Embeddings": schema("", type="object", required=["object", "data", "model", "usage"],
                         properties={"data": array(free("`index`, `embedding`"))}),
    "Models": schema("", type="object", required=["object", "data"], properties={"data": array(ref("Model"))}),
    "Model": schema("", type="object", required=["id", "object", "created", "owned_by"]),
    "File": schema("", type="object", required=["id", "object", "bytes", "created_at", "filename", "purpose"]),
    "Batch": schema("", type="object", required=["id", "object", "endpoint", "status", "input_file_id", "request_counts"]),
    "List": schema("", type="object", required=["object", "data", "first_id", "last_id", "has_more"]),
    "Slots": array(free("`id`, `is_processing`, `n_ctx`")),
    "Rerank": schema("", properties={"results": array(free("`index`, `relevance_score`"))}),
    "OllamaLine": free("An object, or with `stream` lines of them; the last has `done` or `status`."),
    "Response": schema("", type="object", required=["id", "object", "status", "output"]),
    "AnthropicAnswer": schema("", type="object", required=["id", "type", "role", "content", "model", "stop_reason", "usage"]),
    "AnthropicError": schema("", type="object", required=["type", "error", "request_id"], properties={
        "error": schema("", type="object", required=["type", "message"])}),
    "OpenAiError": schema("", type="object", required=["error"], properties={
        "error": schema("", type="object", required=["message", "type", "param", "code"])}),
    "OllamaError": schema("", type="object", required=["error"], properties={"error": text()}),
    "OwnError": schema("", type="object", required=["error"], properties={
        "error": schema("", type="object", required=["message", "code"])}),
}

ERRORS = {"anthropic": "AnthropicError", "own": "OwnError", "openai": "OpenAiError", "ollama": "OllamaError"}
STATUSES = {
    400: "A field is malformed, out of range or not supported; the message names it and the limit.",
    401: "No key, or a wrong one.", 403: "Not for this caller, or switched off.", 404: "No such model.",
    408: "It waited longer than QUEUE_TIMEOUT_S.", 413: "The body is too large.",
    415: "The body is not of a type that the route reads.", 422: "As 400, in SutazAI's own API.", 429: "The queue is full; see Retry-After.",
    500: "The engine ended, or the machine is out of something.", 502: "Another server, which has the model, failed.",
    503: "Nothing can serve this now; see Retry-After.", 504: "That other server says nothing in time.",
    529: "As 429, in Anthropic's API.",
}

# --- routes


def route(method, path, family, what, body=None, answer=None, examples=(), required=(), parameters=(), streams="",
          status=200, plain="", also=None):
    """`examples`: bodies that together have every field that is an object or a list of them."""
    operation = {"summary": what, "tags": [{"own": "SutazAI", "anthropic": "Anthropic", "openai": "OpenAI", "ollama": "Ollama",
                                            "llama": "llama-server"}[family]],
                 "operationId": method + "_" + path.strip("/").replace("/", "_").replace("{", "").replace("}", "")
                 .replace("-", "_").replace(".", "_")}
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        content = {"schema": obj(body, required=required)}
        if examples:
            content["examples"] = {str(i): {"value": each} for i, each in enumerate(examples)}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    content = {}
    if answer:
        content["application/json"] = {"schema": ref(answer) if answer in ANSWERS else free(answer)}
    if streams:
        content[streams] = {}
    if plain:
        content[plain] = {"schema": {"type": "string"}}
    good = {"description": "Done."}
    if content:
        good["content"] = content
    error = ERRORS["openai" if family == "llama" else family]
    responses = {str(status): good, **(also or {})}
    for code in STATUSES:
        responses.setdefault(str(code), {"$ref": f"#/components/responses/{error}{code}"})
    operation["responses"] = responses
    return method, path, operation


SSE, LINES = "text/event-stream", "application/x-ndjson"
HELLO = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
SEEN = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}]},
                     {"role": "user", "content": [{"type": "image_url", "image_url": IMAGE, "cache_control": None}]},
                     {"role": "user", "content": "Hello", "images": [IMAGE]}]}
CALLED = [*HELLO, {"role": "assistant", "tool_calls": [{"id": "abcdefghi", "type": "function",
                                                       "function": {"name": "weather", "arguments": "{}"}}]},
          {"role": "tool", "tool_call_id": "abcdefghi", "content": "sunny"}]
WEATHER = [{"type": "function", "function": {"name": "weather", "description": "The weather",
                                             "parameters": {"type": "object", "properties": {}}, "strict": True}}]
WITH_TOOLS = {"messages": CALLED, "tools": WEATHER, "tool_choice": {"type": "function", "function": {"name": "weather"}},
              "chat_template_kwargs": {"enable_thinking": False}}
WITH_SCHEMA = {"messages": HELLO, "adapters": [{"name": "polite", "scale": 0.5}],
               "response_format": WITH_SCHEMA_FORMAT}
AS_OBJECT = {"messages": HELLO, "response_format": {"type": "json_object", "schema": {"type": "object"}}}
BLOB = {"name": "digest", "in": "path", "required": True,
        "schema": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}}
FILE_ID = {"name": "file_id", "in": "path", "required": True, "schema": {"type": "string"}}
BATCH_ID = {"name": "batch_id", "in": "path", "required": True, "schema": {"type": "string"}}


def listed(most):
    return ({"name": "limit", "in": "query", "schema": integer(1, most, "So many at most.")},
            {"name": "after", "in": "query", "schema": text("The id of the last one that is known.")})


WHICH = {"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}

OWN_CHAT = {**GENERATION, **CHAT, **HARMLESS}
ROUTES = [
    route("post", "/api/v1/streaming/chat/stream", "own", "A chat, streamed.",
          {**OWN_CHAT, "stream": boolean("Events as they come; false: one object.", default=True)},
          "The answer as one object.", (WITH_TOOLS, WITH_SCHEMA, AS_OBJECT, SEEN), ("messages",), streams=SSE),
    route("post", "/api/v1/streaming/batch/process", "own", "Many requests in one.",
          {**GENERATION, **HARMLESS, "parallel_tool_calls": idle(), "stream": boolean("Only false."),
           "batch_size": integer(1, 256, "Requests that run at once; default: BATCH_SIZE."),
           "requests": array(obj({**GENERATION, **CHAT, **HARMLESS, "prompt": text("In place of messages.")}),
                             "Each with fields of its own; those beside the list are defaults.", minItems=1)},
          "`results`, in the order of the requests.",
          ({"batch_size": 2, "adapters": [{"name": "polite"}], "response_format": WITH_SCHEMA["response_format"],
            "requests": [{"prompt": "Hello"}, {**WITH_TOOLS}, {**WITH_SCHEMA}, {**AS_OBJECT}, SEEN]},
           {"response_format": AS_OBJECT["response_format"], "requests": [{"prompt": "Hello"}]}), ("requests",)),
    route("post", "/api/v1/streaming/cache/manage", "own", "See and manage what is warm.",
          {"action": words("", "status", "warmup", "save", "load", "evict", "pin", "unpin", "prune"),
           "models": array(text(), "Which ones.", maxItems=64), "force": boolean("Also those that are in use.")},
          "What is warm now.", ({"action": "status"},), ("action",)),
    route("get", "/api/v1/streaming/telemetry", "own", "What goes on, as lines of JSON without end: everything first, then what "
          "has changed, four times a second. Who reads too slowly gets everything anew.", plain="application/x-ndjson"),
    route("get", "/api/v1/streaming/performance/metrics", "own",
          "What the models do; as Prometheus' text for whoever accepts that.", answer="Figures.", plain="text/plain"),
    route("get", "/metrics", "own", "The same for Prometheus.", plain="text/plain"),
    route("get", "/api/v1/streaming/health/advanced", "own", "How server, models and machine are, and why.",
          answer="States.",
          also={"503": {"description": "No model can serve.",
                        "content": {"application/json": {"schema": free("`status`")}}}}),
    route("get", "/", "own", "To browsers the page; to others the words that Ollama's clients look for.", plain="text/plain",
          also={"304": {"description": "The page is as it was."}}),
    route("get", "/page/{file}", "own", "What the page is made of. Needs no key.", plain="text/javascript",
          also={"304": {"description": "It is as it was."}},
          parameters=({"name": "file", "in": "path", "required": True, "schema": {"type": "string"}},)),
    *(route("get", path, "own", "The process is alive.", answer="`status`") for path in ("/health", "/livez")),
    *(route("get", path, "own", "A model can answer now.", answer="`status`",
            also={"503": {"description": "Not yet, or no more.",
                          "content": {"application/json": {"schema": free("`status`")}}}})
      for path in ("/ready", "/readyz")),
    route("get", "/openapi.json", "own", "This description.", answer="OpenAPI 3.1"),
    route("post", "/v1/chat/completions", "openai", "A chat.",
          {**OWN_CHAT, **LOGPROBS, "n": integer(1, 128, "Answers.", default=1),
           "max_completion_tokens": integer(1, INT_MAX, "Goes before max_tokens."), "stream_options": STREAM_OPTIONS},
          "ChatCompletion",
          (WITH_TOOLS, {**WITH_SCHEMA, "stream": True, "stream_options": {"include_usage": True}}, AS_OBJECT, SEEN),
          ("messages",), streams=SSE),
    route("post", "/v1/completions", "openai", "Text as it is.",
          {**GENERATION, **HARMLESS, "parallel_tool_calls": idle(), "prompt": PROMPT,
           "n": integer(1, 128, "Answers to each prompt.", default=1),
           "best_of": integer(1, 20, "So many are made, and the n likeliest given."),
           "logprobs": integer(0, 5, "Log-probabilities of the tokens, and of so many alternatives."),
           "echo": boolean("The text begins with the prompt's."), "suffix": text("What comes behind the gap."),
           "stream_options": STREAM_OPTIONS},
          "Completion",
          ({"prompt": "Hello", "adapters": [{"name": "polite"}], "response_format": WITH_SCHEMA["response_format"],
            "stream": True, "stream_options": {"include_usage": True}},
           {"prompt": "Hello", "response_format": AS_OBJECT["response_format"]}), ("prompt",), streams=SSE),
    route("post", "/v1/embeddings", "openai", "Vectors of length 1.",
          {**HARMLESS, "parallel_tool_calls": idle(), "model": MODEL, "input": INPUT,
           "dimensions": integer(1, 65536, "Shortened to so many."), "encoding_format": words("", "float", "base64"),
           "priority": PRIORITY, "keep_alive": KEEP_ALIVE}, "Embeddings",
          ({"input": "Hello", "dimensions": 8},), ("input",)),
    route("post", "/v1/rerank", "openai", "How well texts answer a question.",
          {**HARMLESS, "parallel_tool_calls": idle(), "model": MODEL, "query": text(),
           "documents": array(one_of("", text(), obj({"text": text()}, required=("text",))), minItems=1),
           "texts": array(one_of("", text(), obj({"text": text()}, required=("text",))),
                          "The same, as text-embeddings-inference calls it.", minItems=1),
           "top_n": integer(1, INT_MAX, "Only the best ones."), "return_documents": boolean("With the texts."),
           "return_text": boolean("Its name in text-embeddings-inference."),
           "priority": PRIORITY, "keep_alive": KEEP_ALIVE}, "Rerank",
          ({"query": "Hello", "documents": [{"text": "a"}, "b"]}, {"query": "Hello", "texts": [{"text": "a"}]}),
          ("query",)),
    route("post", "/v1/messages", "anthropic", "A message of the assistant.", MESSAGES, "AnthropicAnswer",
          MESSAGES_EXAMPLES, ("max_tokens", "messages"), streams=SSE),
    route("post", "/v1/messages/count_tokens", "anthropic", "How many tokens a prompt has.", MESSAGES, "`input_tokens`",
          MESSAGES_EXAMPLES, ("messages",)),
    route("post", "/v1/responses", "openai", "A response; it may go on from one that is stored.", RESPONSE, "Response",
          RESPONSE_EXAMPLES, streams=SSE),
    route("post", "/v1/responses/input_tokens", "openai", "How many tokens its prompt has.", RESPONSE, "`input_tokens`",
          RESPONSE_EXAMPLES),
    route("get", "/v1/responses/{response_id}", "openai", "A stored response, or one that is being made.",
          answer="Response", streams=SSE,
          parameters=(RESPONSE_ID, query("stream", {"type": "boolean"}),
                      query("starting_after", {"type": "integer", "minimum": 0}))),
    route("delete", "/v1/responses/{response_id}", "openai", "Forgets it.", answer="`deleted`", parameters=(RESPONSE_ID,)),
    route("post", "/v1/responses/{response_id}/cancel", "openai", "Ends one that is made in the background.",
          answer="Response", parameters=(RESPONSE_ID,)),
    route("get", "/v1/responses/{response_id}/input_items", "openai", "What it was asked.", answer="`data`, `has_more`",
          parameters=(RESPONSE_ID, *PAGE)),
    route("post", "/v1/files", "openai", "Takes a file, of which a batch is made.", answer="File"),
    route("get", "/v1/files", "openai", "What files there are.", answer="List", parameters=(
        *listed(10000), {"name": "order", "in": "query", "schema": words("", "asc", "desc")},
        {"name": "purpose", "in": "query", "schema": text()})),
    route("get", "/v1/files/{file_id}", "openai", "What is known of a file.", answer="File", parameters=(FILE_ID,)),
    route("get", "/v1/files/{file_id}/content", "openai", "What is in it.", parameters=(FILE_ID,),
          plain="application/octet-stream"),
    route("delete", "/v1/files/{file_id}", "openai", "Deletes a file.", answer="`deleted`", parameters=(FILE_ID,)),
    route("post", "/v1/batches", "openai", "Requests in a file, behind everybody else's.",
          {**HARMLESS, "parallel_tool_calls": idle(), "input_file_id": text("A file with the purpose `batch`."),
           "endpoint": words("What its lines are given to.", "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                             "/v1/responses"),
           "completion_window": text("`24h`, or another time from `1s` to `720h`."),
           "metadata": schema("Texts to find it by.", type="object", maxProperties=16),
           "output_expires_after": obj({"anchor": words("", "created_at"),
                                        "seconds": integer(3600, 2592000, "That output files are kept.")},
                                       required=("anchor", "seconds"))},
          "Batch", ({"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h",
                     "metadata": {"a": "b"}, "output_expires_after": {"anchor": "created_at", "seconds": 3600}},),
          ("input_file_id", "endpoint", "completion_window")),
    route("get", "/v1/batches", "openai", "What batches there are.", answer="List", parameters=listed(100)),
    route("get", "/v1/batches/{batch_id}", "openai", "How far one is.", answer="Batch", parameters=(BATCH_ID,)),
    route("post", "/v1/batches/{batch_id}/cancel", "openai", "Ends it.", answer="Batch", parameters=(BATCH_ID,)),
    route("get", "/v1/models", "openai", "The models of this server.", answer="Models"),
    route("get", "/v1/models/{model}", "openai", "One of them.", answer="Model",
          parameters=({"name": "model", "in": "path", "required": True, "schema": {"type": "string"}},)),
    route("post", "/completion", "llama", "Text as it is.", {**LLAMA, **HARMLESS, "parallel_tool_calls": idle(),
                                                             "prompt": PROMPT},
          "The answer, or one for each prompt.",
          ({"prompt": "Hello", "adapters": [{"name": "polite"}], "response_format": WITH_SCHEMA["response_format"]},
           {"prompt": "Hello", "response_format": AS_OBJECT["response_format"]}), ("prompt",), streams=SSE),
    route("post", "/infill", "llama", "Fills a gap in code.",
          {**LLAMA, **HARMLESS, "parallel_tool_calls": idle(), "prompt": text("What stands in the gap already."),
           "input_prefix": text("In front of the gap."), "input_suffix": text("Behind it."),
           "input_extra": array(obj({"filename": text(), "text": text(), "time": idle()}, required=("text",)),
                                "Other files, the most important last.", maxItems=256)}, "The answer.",
          ({"input_prefix": "a", "input_suffix": "b", "input_extra": [{"filename": "c", "text": "d"}],
            "adapters": [{"name": "polite"}], "response_format": WITH_SCHEMA["response_format"]},
           {"input_prefix": "a", "input_suffix": "b", "response_format": AS_OBJECT["response_format"]}),
          ("input_prefix", "input_suffix"), streams=SSE),
    route("post", "/tokenize", "llama", "A text's tokens.",
          {**HARMLESS, "parallel_tool_calls": idle(), "model": MODEL, "content": text(),
           "add_special": boolean("With those that the model wants around a text."),
           "parse_special": boolean("Names of control tokens are those tokens.", default=True),
           "with_pieces": boolean("And what each of them says.")}, "`tokens`", ({"content": "Hello"},), ("content",)),
    route("post", "/detokenize", "llama", "The text of tokens.",
          {**HARMLESS, "parallel_tool_calls": idle(), "model": MODEL,
           "tokens": array({"type": "integer", "minimum": 0, "maximum": INT_MAX})}, "`content`", ({"tokens": [1]},),
          ("tokens",)),
    route("post", "/apply-template", "llama", "A chat as the model reads it.", {**CHAT, **HARMLESS, "model": MODEL},
          "`prompt`", (WITH_TOOLS, SEEN), ("messages",)),
    route("get", "/props", "llama", "Context, places, chat template.", answer="What the model is.", parameters=(WHICH,)),
    route("get", "/slots", "llama", "Which places are in use.", answer="Slots", parameters=(WHICH,)),
    route("post", "/api/chat", "ollama", "A chat; without messages the model is loaded.",
          {**OLLAMA, **CHAT, **HARMLESS, "messages": array(ref("Message"), maxItems=4096),
           "truncate": boolean("A chat that is too long loses its oldest messages.")}, "OllamaLine",
          ({**WITH_TOOLS, "options": {}}, SEEN, {"messages": HELLO, "adapters": [{"name": "polite"}]}), streams=LINES),
    route("post", "/api/generate", "ollama", "An answer to one prompt; without one the model is loaded.",
          {**OLLAMA, **HARMLESS, "parallel_tool_calls": idle(), "prompt": text(), "suffix": text("What comes behind a gap."),
           "system": text("In place of the model's."), "template": text("A Go template in place of the model's."),
           "raw": boolean("The prompt as it is."), "truncate": boolean("Only false."),
           "images": IMAGES,
           "context": array({"type": "integer", "minimum": 0, "maximum": INT_MAX}, "Of an earlier answer.")},
          "OllamaLine", ({"prompt": "Hello", "images": [IMAGE]}, {"prompt": "Hello", "options": {}, "adapters": [{"name": "polite"}]},), streams=LINES),
    route("post", "/api/embed", "ollama", "Vectors of length 1.",
          {"model": MODEL, "input": one_of("One text, or several; or token ids.", text(), array({})), "keep_alive": KEEP_ALIVE,
           "options": LOAD_OPTIONS,
           "truncate": boolean("Texts that are too long lose their end.", default=True),
           "dimensions": integer(0, 65536, "Shortened to so many; 0: all."), **HARMLESS, "parallel_tool_calls": idle()},
          "`embeddings`", ({"input": "Hello", "options": {}, "dimensions": 8},)),
    route("post", "/api/embeddings", "ollama", "One vector.",
          {"model": MODEL, "prompt": text(), "keep_alive": KEEP_ALIVE, "options": LOAD_OPTIONS, **HARMLESS,
           "parallel_tool_calls": idle()}, "`embedding`", ({"prompt": "Hello", "options": {}},)),
    route("get", "/api/tags", "ollama", "The models of this server.", answer="`models`"),
    route("get", "/api/ps", "ollama", "Those that are warm.", answer="`models`"),
    route("get", "/api/version", "ollama", "The version of Ollama's API.", answer="`version`"),
    route("post", "/api/show", "ollama", "All of one model.",
          {**NAMED, **HARMLESS, "parallel_tool_calls": idle(), "verbose": boolean("With the arrays of its metadata."),
           "system": idle(), "template": idle(), "options": idle()}, "The model.", ({"model": "x"},)),
    route("post", "/api/create", "ollama", "A model of another one, or of files that were sent as blobs.",
          {**NAMED, **HARMLESS, "parallel_tool_calls": idle(), "stream": STREAMED, "from": text("The model that it is made of."),
           "files": free("Names of GGUF files and digests of blobs."),
           "adapters": free("The same, of adapters."), "template": text("Go's."), "system": text(),
           "license": one_of("", text(), array(text())), "parameters": free("As `options` of a chat."),
           "messages": array(obj({"role": words("", "system", "user", "assistant"), "content": text()},
                                 required=("role",)), maxItems=4096),
           "quantize": text("q4_K_M and so on."), "quantization": text("Its older name."), "requires": text("Not read.")},
          "OllamaLine", ({"model": "x", "from": "y", "messages": [{"role": "user", "content": "z"}]},), streams=LINES),
    route("post", "/api/pull", "ollama", "Fetches a model.",
          {**NAMED, **HARMLESS, "parallel_tool_calls": idle(), "stream": STREAMED,
           "insecure": boolean("The registry may be spoken to without TLS.")}, "OllamaLine", ({"model": "x"},),
          streams=LINES),
    route("post", "/api/push", "ollama", "Sends a model to a registry.",
          {**NAMED, **HARMLESS, "parallel_tool_calls": idle(), "stream": STREAMED,
           "insecure": boolean("The registry may be spoken to without TLS.")}, "OllamaLine", ({"model": "x"},),
          streams=LINES),
    route("post", "/api/copy", "ollama", "Another name for a model.",
          {**HARMLESS, "parallel_tool_calls": idle(), "source": text(), "destination": text()}, None,
          ({"source": "x", "destination": "y"},), ("source", "destination")),
    route("delete", "/api/delete", "ollama", "Removes a model.", {**NAMED, **HARMLESS, "parallel_tool_calls": idle()},
          None, ({"model": "x"},)),
    route("head", "/api/blobs/{digest}", "ollama", "Whether there is such a blob.", parameters=(BLOB,),
          also={"404": {"description": "There is none."}}),
]


#: Other names of routes.
ALIASES = {"/completions": "/completion", "/v1/reranking": "/v1/rerank", "/rerank": "/v1/rerank",
           "/reranking": "/v1/rerank"}


def or_null(each):
    """null counts as absent, in every field."""
    each = {**each, **{name: or_null(each[name]) for name in ("items",) if name in each}}
    if "properties" in each:
        each["properties"] = {name: or_null(inner) for name, inner in each["properties"].items()}
        for name, inner in each["properties"].items():
            if "$ref" in inner:
                each["properties"][name] = {"anyOf": [inner, {"type": "null"}]}
            elif "anyOf" in inner:
                each["properties"][name] = {**inner, "anyOf": [*inner["anyOf"], {"type": "null"}]}
            elif "type" in inner:
                each["properties"][name] = {**inner, "type": [inner["type"], "null"],
                                            **({"enum": [*inner["enum"], None]} if "enum" in inner else {})}
    if "anyOf" in each:
        each["anyOf"] = [or_null(inner) for inner in each["anyOf"]]
    return each


def for_machines(description):
    for methods in description["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content and "x-same-as" not in operation:
                content["schema"] = or_null(content["schema"])
    description["components"]["schemas"].update({name: or_null(each) for name, each in SCHEMAS.items()})
    return description


def document():
    paths = {}
    for method, path, operation in ROUTES:
        paths.setdefault(path, {})[method] = operation
    for alias, path in ALIASES.items():
        paths[alias] = {method: {**operation, "summary": f"Another name of {path}.", "operationId": method + alias.replace("/", "_"),
                                 "x-same-as": path} for method, operation in paths[path].items()}
    blob = paths["/api/blobs/{digest}"]
    blob["post"] = {**route("post", "/api/blobs/{digest}", "ollama", "Sends a blob, as it is.", parameters=(BLOB,),
                            status=201)[2],
                    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}
    paths["/v1/files"]["post"]["requestBody"] = {
        "required": True, "description": "`file`, `purpose` (`batch` or `user_data`), `expires_after[anchor]` and "
                                         "`expires_after[seconds]`.",
        "content": {"multipart/form-data": {"schema": {}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "SutazAI", "version": "0.1.0", "license": {"name": "Apache-2.0"},
                 "description": "A field that is null counts as absent. One that is not listed is refused by name; what "
                                "names an idle field \"changes nothing here\" is taken, because clients send it."},
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "security": [{}, {"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {**SCHEMAS, **ANSWERS},
                       "responses": {f"{error}{code}": {"description": why,
                                                        "content": {"application/json": {"schema": ref(error)}}}
                                     for error in ERRORS.values() for code, why in STATUSES.items()},
                       "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


# --- the reference


def kind(schema_, depth=0):
    """A few words for the type of a field."""
    if "$ref" in schema_:
        name = schema_["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema_:
        return " or ".join(dict.fromkeys(kind(each, depth + 1) for each in schema_["anyOf"]))
    if "const" in schema_:
        return f"`{json.dumps(schema_['const'])}`"
    if "enum" in schema_:
        return ", ".join(f"`{value}`" for value in schema_["enum"] if value != "")
    if schema_.get("type") == "array":
        items = kind(schema_["items"], depth + 1)
        return f"list of {items}" if items else "list"
    low, high = schema_.get("minimum", schema_.get("exclusiveMinimum")), schema_.get("maximum")
    if low is not None and schema_["type"] in ("number", "integer"):
        begin = f"above {low}" if "exclusiveMinimum" in schema_ else f"{low}"
        if high in (INT_MAX, 2**63 - 1):
            return schema_["type"] + ("" if low < -2 else f", from {begin} on")
        return f"{schema_['type']}, {begin} to {high}"
    return {"string": "text"}.get(schema_.get("type", ""), schema_.get("type", ""))


def rows(properties, required=(), path=""):
    for name, each in properties.items():
        what = each.get("description", "")
        if path + name in required or name in required and not path:
            what = ("Required. " + what).strip()
        if "default" in each:
            what = f"{what} Default: `{json.dumps(each['default'])}`.".strip()
        yield f"| `{path}{name}` | {kind(each)} | {what} |".replace("|  |", "| |")
        inner = each.get("items", each)
        for option in [inner, *inner.get("anyOf", [])]:
            option = option.get("items", option)
            if "properties" in option:
                yield from rows(option["properties"], (), f"{path}{name}{'[]' if option is not each else ''}.")


def is_idle(each):
    return each.get("description") == idle()["description"] and len(each) == 1


def reference(description):
    out = ["# API reference", "",
           "Made from the description of the API (`scripts/openapi.py`), which a running server gives at `/openapi.json`. "
           + description["info"]["description"], ""]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if "x-same-as" in operation:
                out += [f"## {method.upper()} {path}", "", operation["summary"], ""]
                continue
            out += [f"## {method.upper()} {path}", "", f"{operation['summary']} ({operation['tags'][0]}'s API)", ""]
            for parameter in operation.get("parameters", []):
                out += [f"`{parameter['name']}` in the {parameter['in']}: {kind(parameter['schema'])}", ""]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            body = content["schema"]
            shown = {name: each for name, each in body["properties"].items() if not is_idle(each)}
            out += ["| field | type | |", "|---|---|---|", *rows(shown, body.get("required", ())), ""]
            passing = [f"`{name}`" for name in body["properties"] if name not in shown]
            if passing:
                out += ["Taken, and change nothing: " + ", ".join(passing) + ".", ""]
    out += ["## Schemas", ""]
    for name, each in description["components"]["schemas"].items():
        out += [f"### {name}", ""]
        if each.get("description"):
            out += [each["description"], ""]
        if each.get("properties"):
            out += ["| field | type | |", "|---|---|---|", *rows(each["properties"], each.get("required", ())), ""]
    return "\n".join(out).rstrip() + "\n"


def source(description):
    return ('#include "api/openapi.h"\n\nnamespace sutazai::api {\n\nstd::string_view openapi_json() {\n    return R"openapi('
            + json.dumps(description, separators=(",", ":")) + ')openapi";\n}\n\n}  // namespace sutazai::api\n')


def main():
    description, place = document(), ROOT / "docs/API_REFERENCE.md"
    match sys.argv[1:]:
        case ["source", path]:
            pathlib.Path(path).write_text(source(for_machines(description)))
        case ["json"]:
            print(json.dumps(for_machines(description), indent=1))
        case ["reference"]:
            place.write_text(reference(description))
        case ["check"]:
            if not place.exists() or place.read_text() != reference(description):
                sys.exit("docs/API_REFERENCE.md is not what scripts/openapi.py makes: scripts/openapi.py reference")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
