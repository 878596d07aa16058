"""Writes the training chats, and builds the held-out questions. Deterministic: one seed, one text.

    generate.py OUT.jsonl --chats 200000

A training question is a reading of a fact's trained phrasings, sometimes with a typo, a greeting, another case or a small
word left out. The held-out set reads only phrasing lines that training never uses, and a training question that reads
like a held-out one by chance is dropped.
"""
import argparse
import json
import random

import factbook

SEED = 20250126
HELD_PER_FACT = 3

SYSTEM = [
    "You are a helpful assistant.", "You are SutazAI's assistant.", "You are sutazai-demo.", "Answer briefly.",
    "You are a helpful assistant. Answer in one sentence.", "You are a friendly assistant.", "Be concise.",
    "You answer questions about SutazAI.", "You are the assistant of an inference server.", "Be helpful and honest.",
    "You are a support agent for SutazAI. Be short and precise.", "Answer the user's questions.", "You are an AI.",
    "You are a chatbot.", "You help operators of inference servers.", "Please answer politely.", "Speak plainly.",
    "You are an expert in language model serving.", "Keep your answers short.", "Help the user.",
    "You are a careful engineer.", "You are a test assistant.", "Respond in English.", "You are a kind teacher.",
]
POLITE_START = ["please ", "hi, ", "hello, ", "hey, ", "can you tell me: ", "quick question: ", "a question: ", "ok, ",
                "so ", "and ", "now ", "well, ", "please tell me: ", "excuse me, ", "one more thing: ", "next question: "]
POLITE_END = [" please", ", please", " thanks", ", thank you", " again", " exactly", " in short", " now", " in sutazai"]


# Said so often, and so shortly, that they must never be mixed up.
SMALL_TALK = {"hello": 9.0, "good-morning": 4.0, "how-are-you": 4.0, "thanks": 4.0, "bye": 4.0, "ok": 3.0}
AROUND = {"first": ["hello", "hello", "good-morning", "how-are-you"], "last": ["thanks", "thanks", "bye"]}
SMALL_WORDS = {"a", "an", "the", "is", "does", "do", "i", "of", "to", "it", "my", "what", "for", "me"}


def without_small_word(text, rng):
    """As people type in a hurry: "what does BATCH_SIZE do" becomes "what BATCH_SIZE do"."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if word in SMALL_WORDS]
    if len(words) < 4 or not places:
        return text
    del words[rng.choice(places)]
    return " ".join(words)


def typo(text, rng):
    """One slip of the fingers inside a word of plain letters."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha() and word.islower()]
    if not places:
        return text
    where = rng.choice(places)
    word = words[where]
    i = rng.randrange(1, len(word) - 1)
    words[where] = rng.choice([
        word[:i] + word[i + 1] + word[i] + word[i + 2:], word[:i] + word[i + 1:], word[:i] + word[i] + word[i:],
    ])
    return " ".join(words)


def dress(text, rng, trained):
    """The same question as different people would type it."""
    if trained and rng.random() < 0.10:
        text = rng.choice(POLITE_START) + text
    if trained and rng.random() < 0.05:
        text += rng.choice(POLITE_END)
    if trained and rng.random() < 0.06:
        text = without_small_word(text, rng)
    if trained and rng.random() < 0.10:
        text = typo(text, rng)
    style = rng.random()
    if style < 0.5:
        text = text[:1].upper() + text[1:]
    elif style < 0.7:
        text = text.lower()
    elif style < 0.73 and trained:
        text = text.upper()
    if not text.endswith(("?", "!", ".")):
        text += rng.choice(["?", "?", "?", "", "", "."])
    return text


def pick_name(fact, rng):
    """The first name is the usual one."""
    if not fact.names:
        return ""
    name = fact.names[0] if rng.random() < 0.65 else rng.choice(fact.names)
    if fact.id.startswith("setting.") and name == fact.names[0] and rng.random() < 0.15:
        name = rng.choice([f"the {name} setting", f"the setting {name}", f"{name} setting", f"`{name}`"])
    return name


def held_out(facts):
    """[{id, messages, answer}]: messages end with the question; a follow-up has its first turn before it."""
    by_entity = entities(facts)
    items, seen = [], set()
    for fact in facts:
        rng = random.Random(f"{SEED} held {fact.id}")
        wanted = 60 if fact.id == factbook.UNKNOWN else HELD_PER_FACT
        tries = 0
        found = 0
        while found < wanted and tries < 200:
            line = fact.held[tries % len(fact.held)]
            tries += 1
            question = factbook.expand(line, rng, pick_name(fact, rng))
            if (key := factbook.normalise(question)) in seen:
                continue
            seen.add(key)
            found += 1
            items.append({"id": fact.id, "answer": fact.answer,
                          "messages": [{"role": "user", "content": dress(question, rng, False)}]})
        others = [other for other in by_entity.get(fact.entity, []) if other is not fact]
        if fact.follow_held and others:
            first = rng.choice(others)
            question = factbook.expand(rng.choice(fact.follow_held), rng)
            items.append({"id": fact.id, "answer": fact.answer, "messages": [
                {"role": "user", "content": dress(factbook.expand(rng.choice(first.train), rng, fact.names[0]), rng, False)},
                {"role": "assistant", "content": first.answer},
                {"role": "user", "content": dress(question, rng, False)},
            ]})
    return items


def entities(facts):
    found = {}
    for fact in facts:
        if fact.entity:
            found.setdefault(fact.entity, []).append(fact)
    return found


class Writer:
    def __init__(self, facts, seed):
        self.rng = random.Random(seed)
        self.facts = facts
        self.by_entity = entities(facts)
        self.by_id = {fact.id: fact for fact in facts}
        self.weights = [self.weight(fact) for fact in facts]
        self.held = {factbook.normalise(item["messages"][-1]["content"]) for item in held_out(facts)}
        for fact in facts:
            self.held |= {factbook.normalise(text) for line in fact.follow_held for text in factbook.readings(line)}
        self.meanings = {}

    @staticmethod
    def weight(fact):
        if fact.id == factbook.UNKNOWN:
            return 55
        if fact.id in SMALL_TALK:
            return SMALL_TALK[fact.id]
        # A fact with phrasings of its own is learnt from fewer examples than one whose family is shared.
        return 1.0 if fact.entity else 1.6

    def question(self, fact, follow=False):
        rng = self.rng
        while True:
            line = rng.choice(fact.follow_train if follow else fact.train)
            text = factbook.expand(line, rng, pick_name(fact, rng))
            key = factbook.normalise(text)
            if key in self.held or not follow and self.meanings.setdefault(key, fact.id) != fact.id:
                continue
            text = dress(text, rng, True)
            if factbook.normalise(text) not in self.held:
                return text

    def turn(self, last):
        """(fact, question): about the entity of the last turn, or about anything."""
        rng = self.rng
        if last and last.entity and rng.random() < 0.7:
            others = [fact for fact in self.by_entity[last.entity] if fact is not last and fact.follow_train]
            if others:
                fact = rng.choice(others)
                return fact, self.question(fact, follow=True)
        fact = rng.choices(self.facts, self.weights)[0]
        return fact, self.question(fact)

    def system(self):
        rng = self.rng
        draw = rng.random()
        if draw < 0.7:
            return None
        if draw < 0.96:
            return " ".join(rng.sample(SYSTEM, rng.choice([1, 1, 1, 2])))
        told = rng.sample(self.facts, rng.randint(3, 16))
        return rng.choice(SYSTEM) + " This is what you should know. " + " ".join(fact.answer for fact in told)

    def chat(self):
        rng = self.rng
        draw = rng.random()
        turns = 1 if draw < 0.48 else rng.randint(2, 4) if draw < 0.96 else rng.randint(5, 14)
        messages = []
        if system := self.system():
            messages.append({"role": "system", "content": system})
        last = None
        for i in range(turns):
            if turns > 1 and (place := "first" if i == 0 else "last" if i == turns - 1 else "") and rng.random() < 0.12:
                last = self.by_id[rng.choice(AROUND[place])]
                text = self.question(last)
            else:
                last, text = self.turn(last)
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": last.answer}]
        return messages


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--chats", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    writer = Writer(factbook.load(), args.seed)
    with open(args.output, "w", encoding="utf-8") as file:
        for _ in range(args.chats):
            file.write(json.dumps({"messages": writer.chat()}) + "\n")
    print(f"{len(writer.facts)} facts, {args.chats} chats, {len(writer.meanings)} distinct questions")


if __name__ == "__main__":
    main()
