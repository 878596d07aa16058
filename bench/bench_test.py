"""Tests of the arithmetic behind the figures: python3 -m unittest bench_test (in bench/)."""

import argparse
import ast
import json
import os
import pathlib
import tempfile
import unittest

import io_thread
import replay
import run
import warmset
import workloads
from words import TextSource, text


class Words(unittest.TestCase):
    def test_texts_are_prefixes_of_longer_ones_and_differ_by_seed(self):
        self.assertTrue(text(9, "a").startswith(text(4, "a")))
        self.assertNotEqual(text(9, "a"), text(9, "b"))
        self.assertEqual(len(TextSource().take(700, 0).split()), 700)

    def test_a_file_replaces_the_words(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(" ".join(str(number) for number in range(100)))
            file.flush()
            self.assertEqual(TextSource(file.name).take(3, 0), " 0 1 2")


class IoThread(unittest.TestCase):
    def test_percentiles_are_values_that_were_seen(self):
        values = list(range(1, 1001))
        self.assertEqual([io_thread.percentile(values[::-1], share) for share in (0.5, 0.99, 1)], [501, 991, 1000])
        self.assertEqual(io_thread.percentile([7], 0.99), 7)


class Run(unittest.TestCase):
    def test_turns_are_interleaved(self):
        self.assertEqual("".join(run.turns(["A", "B"], 4)), "ABBAABBA")

    def test_a_script_needs_to_say_no_more_than_what_it_starts(self):
        with tempfile.TemporaryDirectory() as folder:
            options = argparse.Namespace(models=folder, sutazai="a", loadgen="b", peer=folder, side="both")
            bench = run.Bench(options, folder)
            self.assertEqual(bench.llama_server, os.path.join(folder, "llama-server"))
            ours = run.Bench(options, folder, ["PREFIX_SHARING=false"], "c")
            self.assertEqual((ours.llama_server, ours.against), (None, {"PREFIX_SHARING": "false"}))
            self.assertEqual(os.path.basename(ours.other_binary), "c")

    def test_the_other_scripts_use_what_there_is(self):
        for script in pathlib.Path(__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "run":
                    self.assertTrue(hasattr(run, node.attr), f"{script.name}: run.{node.attr}")

    def test_ratio_is_ours_by_theirs_and_is_held_against_the_bar(self):
        def sides(*, ours, theirs):
            return {"llama-server": {"runs": [{"figures": {"x": value}} for value in theirs]},
                    "sutazai": {"runs": [{"figures": {"x": value}} for value in ours]}}

        higher = workloads.Measure("x", None, True, 2.0)
        row = run.compare(higher, sides(ours=[10, 30, 20], theirs=[9, 11, 10]))
        self.assertEqual((row["sutazai"], row["llama-server"], row["ratio"], row["passes"]), (20, 10, 2.0, True))
        self.assertFalse(run.compare(higher, sides(ours=[19], theirs=[10]))["passes"])
        lower = workloads.Measure("x", None, False, 0.5)
        self.assertTrue(run.compare(lower, sides(ours=[5], theirs=[10]))["passes"])
        self.assertFalse(run.compare(lower, sides(ours=[6], theirs=[10]))["passes"])

    def test_every_workload_asks_for_a_known_number_of_tokens(self):
        for workload in workloads.WORKLOADS:
            lines = workload.lines(TextSource())
            self.assertEqual(lines, workload.lines(TextSource()), workload.name)
            for line in lines:
                self.assertTrue(line["body"]["ignore_eos"] and line["body"]["max_tokens"] > 0)
                prompt = sum(len(message["content"].split()) for message in line["body"]["messages"])
                self.assertLess(prompt + line["body"]["max_tokens"] + 30, workload.context / workload.parallel)


class Measures(unittest.TestCase):
    def test_gaps_are_those_that_touch_the_reading_of_the_long_prompt(self):
        report = {"each": [
            {"label": "stream", "text_ms": [0, 10, 500, 510, 900]},
            {"label": "stream", "text_ms": [0, 400, 405, 800]},
            {"label": "long", "sent_ms": 100, "text_ms": [402, 410]},
        ]}
        self.assertEqual(sorted(workloads.gaps_while_reading(report)), [5, 400, 490])
        self.assertEqual(workloads.long_ttft(report), 302)

    def test_decode_rate_leaves_the_first_token_out(self):
        self.assertEqual(workloads.decode_rate({"each": [{"completion_tokens": 11, "text_ms": [1000, 2000]}]}), 10)

    def test_percentile_is_nearest_rank(self):
        self.assertEqual(workloads.percentile(range(1, 101), 0.99), 99)
        self.assertEqual(workloads.percentile([7], 0.5), 7)


class Replay(unittest.TestCase):
    def test_infinite_cache_counts_the_longest_shared_beginning(self):
        prompts = [" a b c", " a b d", " x", " a b d e"]
        self.assertEqual(replay.infinite_cache_hits(prompts, 3), 0 + 5 + 3 + 6)

    def test_mooncake_blocks_become_the_same_words(self):
        records = [{"timestamp": 0, "input_length": 1000, "output_length": 32, "hash_ids": [1, 2]},
                   {"timestamp": 5, "input_length": 700, "output_length": 8, "hash_ids": [1, 3]}]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("\n".join(json.dumps(record) for record in records))
            file.flush()
            first, second = replay.mooncake_requests(file.name, 10, 16)
        self.assertEqual([len(replay.prompt_text(r[1]).split()) for r in (first, second)], [62, 44])
        self.assertEqual((first[2], second[0], second[2]), (2, 5, 1))
        shared = os.path.commonprefix([replay.prompt_text(first[1]).split(), replay.prompt_text(second[1]).split()])
        self.assertGreaterEqual(len(shared), 32)

    def test_goodput_counts_requests_that_meet_both_bounds(self):
        each = [{"sent_ms": 0, "text_ms": [100, 200]}, {"sent_ms": 0, "text_ms": [900, 950]},
                {"sent_ms": 0, "text_ms": [100, 700]}, {"sent_ms": 0, "text_ms": []}]
        self.assertEqual(replay.goodput({"each": each, "wall_s": 2.0}, 500, 150), 0.5)


class WarmSet(unittest.TestCase):
    def test_belady_evicts_what_is_asked_for_again_last(self):
        self.assertEqual(warmset.belady([0, 1, 2, 0, 1, 2], 2), 2)
        self.assertEqual(warmset.belady([0, 1, 2, 0, 1, 2], 3), 3)
        self.assertEqual(warmset.belady([0, 0, 1, 0], 1), 1)

    def test_arrivals_follow_zipf_and_their_seed(self):
        arrivals = warmset.zipf_arrivals(1, 1.5, 5000, 4.0)
        self.assertEqual(arrivals, warmset.zipf_arrivals(1, 1.5, 5000, 4.0))
        counts = [sum(arrival.model == model for arrival in arrivals) for model in range(warmset.N_MODELS)]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertAlmostEqual(counts[0] / counts[1], 2 ** 1.5, delta=0.4)
        self.assertAlmostEqual(arrivals[-1].at_s, 5000 / 4.0, delta=60)

    def test_a_bar_may_be_for_a_figure_that_stands_for_itself(self):
        self.assertTrue(warmset.row("x", {"sutazai": 0.9}, 0.85, of=0.9)["passes"])
        self.assertFalse(warmset.row("x", {"sutazai": 2, "llama-server": 4}, 1 / 3, False)["passes"])
        self.assertNotIn("passes", warmset.row("x", {"sutazai": 2}, 1 / 3, False))


if __name__ == "__main__":
    unittest.main()
