#!/usr/bin/env python3
"""32 agents at once with one list of tools of about 2,000 tokens, each with a question of its own, against llama-server.

Each turn starts a fresh server that has not seen the tools (a cold burst). The tools may be called (`tool_choice` is auto)
and every answer has a fixed number of tokens. llama-server has a slot for each agent and one KV memory for all of them
(--kv-unified); with --peer-slots another number of slots, in which it reads the tools once for each of them and agents wait
for one another. Prints the columns of run.py and ends with 1 when the bar is missed. Everything goes to
bench/results/<date>.json.
"""

import argparse
import os
import signal
import sys
import tempfile

import run
import servers
import workloads
from words import TextSource

BAR = 6.0
N_TOOLS = 14
# Qwen's way of telling a model of tools.
TEMPLATE = """\
{%- if tools -%}
<|im_start|>system
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else -%}
<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    parser.add_argument("--agents", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32, help="of each answer (default 32)")
    parser.add_argument("--peer-slots", type=int, metavar="N", help="llama-server's -np (default: one for each agent)")
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def tool(source, number):
    words = source.take(3, 9000 + number).split()
    return {"type": "function", "function": {
        "name": "_".join(words), "description": source.take(40, 9100 + number).strip(), "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": source.take(12, 9200 + number).strip()},
                "lines": {"type": "integer", "minimum": 1, "description": source.take(8, 9300 + number).strip()},
            },
            "required": ["path"]}}}  # fmt: skip


def requests(source, agents, tokens):
    tools = [tool(source, number) for number in range(N_TOOLS)]
    lines = [workloads.chat(source.take(24, 8000 + agent), tokens) for agent in range(agents)]
    for line in lines:
        line["body"] |= {"tools": tools, "tool_choice": "auto"}
    return lines


class Ours(servers.Sutazai):
    def __init__(self, binary, setup, logs, template):
        super().__init__(binary, setup, logs)
        with open(os.path.join(self._home.name, "models.toml"), "w", encoding="utf-8") as file:
            file.write(f'[models.{servers.MODEL_NAME}]\ntemplate = "{template}"\n')


class Theirs(servers.LlamaServer):
    def __init__(self, binary, setup, logs, template):
        super().__init__(binary, setup, logs)
        self.template = template

    def command(self):
        return [*super().command(), "--kv-unified", "--chat-template-file", self.template]


def main():
    options = parse_arguments()
    options.side = "both"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    sides = {"sutazai": Ours, "llama-server": Theirs}
    measures = [workloads.tokens_per_s(BAR), workloads.ttft("p50"), workloads.ttft("p95"),
                workloads.Measure("CPU s/request", workloads.cpu_per_request, False)]  # fmt: skip
    lines = requests(TextSource(None), options.agents, options.tokens)
    result = {"name": f"agents-{options.agents}", "sides": {}}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        template = os.path.join(scratch, "template.jinja")
        with open(template, "w", encoding="utf-8") as file:
            file.write(TEMPLATE)
        model = bench.model(options.preset)
        # Room for all agents, had they nothing in common.
        context = options.agents * 2560
        slots = {"sutazai": options.agents, "llama-server": options.peer_slots or options.agents}
        for side in run.turns(list(sides), options.rounds):
            binary = bench.sutazai if side == "sutazai" else bench.llama_server
            with sides[side](binary, servers.Setup(model, slots[side], context), bench.logs, template) as server:
                report = bench.measure(server, lines, options.agents)
                record = result["sides"].setdefault(side, {**server.describe(), "runs": []})
            prompts = report["prompt_tokens"]
            if report["completion_tokens"] != options.agents * options.tokens:
                raise RuntimeError(f"{side} made {report['completion_tokens']} tokens")
            figures = {measure.name: measure.of(report) for measure in measures}
            print(f"  agents  {side}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                  + f", prompts of {prompts / options.agents:.0f} tokens", file=sys.stderr)  # fmt: skip
            record["runs"].append({"figures": figures, **{key: value for key, value in report.items() if key != "each"}})
    result["measures"] = [run.compare(measure, result["sides"]) for measure in measures]
    run.print_table([result], list(sides))
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "workloads": [result]})
    return 0 if all(row["passes"] is not False for row in result["measures"]) else 1


if __name__ == "__main__":
    sys.exit(main())
