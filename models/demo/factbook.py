"""Reads facts/*.txt: what the model knows, how it is asked about it, and which phrasings are held out from training."""
import collections
import dataclasses
import pathlib
import re

FACTS = pathlib.Path(__file__).with_name("facts")
UNKNOWN = "unknown"


@dataclasses.dataclass
class Fact:
    """One intent with its one answer. The phrasing lines are grammars for expand()."""

    id: str
    answer: str
    train: list
    held: list
    names: list = dataclasses.field(default_factory=list)
    entity: str = ""
    follow_train: list = dataclasses.field(default_factory=list)
    follow_held: list = dataclasses.field(default_factory=list)


def expand(line, rng, name=""):
    """One random reading of a grammar line: the innermost [a|b] are chosen first."""
    while "[" in line:
        line = re.sub(r"\[([^\[\]]*)\]", lambda match: rng.choice(match.group(1).split("|")), line)
    return " ".join(line.replace("{x}", name).split())


def readings(line):
    """Every reading of a grammar line."""
    found = re.search(r"\[([^\[\]]*)\]", line)
    if not found:
        return {" ".join(line.split())}
    parts = (line[: found.start()] + choice + line[found.end() :] for choice in found.group(1).split("|"))
    return set().union(*(readings(part) for part in parts))


def normalise(text):
    """Lower case, words and inner signs only: what makes two phrasings the same phrasing."""
    return " ".join(re.findall(r"[a-z0-9_./:=+$-]*[a-z0-9_]", text.lower()))


def _lines(name):
    text = (FACTS / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _macros():
    return dict(line.split(" = ", 1) for line in _lines("macros.txt"))


def _fill(line, macros):
    return re.sub(r"<(\w+)>", lambda match: macros[match.group(1)], line)


def _families(macros):
    families, current = {}, None
    for line in _lines("families.txt"):
        if line.startswith("%"):
            current = families[line[1:]] = collections.defaultdict(list)
        else:
            current[line[0]].append(_fill(line[3:], macros))
    return families


def _entity_facts(file, families):
    kind, names = "", []
    for line in _lines(file):
        if line.startswith("@"):
            kind, rest = line[1:].split(" ", 1)
            names = rest.split(" | ")
            continue
        attribute, answer = line.split(": ", 1)
        family = families[f"{kind}.{attribute}"]
        yield Fact(
            id=f"{kind}.{names[0]}.{attribute}", answer=answer, names=names, entity=f"{kind}.{names[0]}",
            train=family["Q"], held=family["H"], follow_train=family["F"], follow_held=family["G"],
        )


def _free_facts(file, macros):
    fact = None
    for line in _lines(file):
        if line.startswith("= "):
            if fact:
                yield fact
            fact = Fact(id=line[2:], answer="", train=[], held=[])
        elif line.startswith("A: "):
            fact.answer = line[3:]
        else:
            (fact.train if line.startswith("Q: ") else fact.held).append(_fill(line[3:], macros))
    yield fact


def _unknown_fact(macros):
    parts = collections.defaultdict(list)
    for line in _lines("unknown.txt"):
        key, text = line.split(": ", 1)
        parts[key].append(text)
    parts = {key: "|".join(texts) for key, texts in parts.items()}
    what = ["what is {}", "what's {}", "explain {}", "tell me about {}", "tell me something about {}", "<tell> {}",
            "do you know anything about {}", "what do you think about {}", "{}", "how does {} work", "what about {}"]
    do = ["how do i {}", "<how> {}", "<can> {}", "please {}", "{}", "{} for me", "i want you to {}"]

    def lines(prefix):
        found = [form.format("[" + parts[prefix + "what"] + "]") for form in what] * 2
        found += [form.format("[" + parts[prefix + "do"] + "]") for form in do] * 2
        return [_fill(line, macros) for line in found + ["[" + parts[prefix + "full"] + "]"] * 9]

    more = lines("more-") * 2 + ["[" + parts["more-full"] + "]"] * 20
    return Fact(id=UNKNOWN, answer=parts["A"], train=lines("") + more, held=lines("H-"))


def load():
    """Every fact, in file order; ids are unique."""
    macros = _macros()
    families = _families(macros)
    facts = []
    for file in ("settings.txt", "endpoints.txt", "cli.txt", "fields.txt", "terms.txt"):
        facts += _entity_facts(file, families)
    for file in ("howto.txt", "persona.txt"):
        facts += _free_facts(file, macros)
    facts.append(_unknown_fact(macros))
    ids = [fact.id for fact in facts]
    assert len(set(ids)) == len(ids), [i for i, n in collections.Counter(ids).items() if n > 1]
    return facts
