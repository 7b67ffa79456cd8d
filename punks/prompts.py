"""The caption template that the LoRA was trained on.

Source: the owner's prompts, `pixel art, 24x24, portrait of bespoke punk {lady|lad}, ..., sharp pixel edges, hard color
borders, retro pixel art style`.
"""

import math
import random
import re

from punks.errors import RecipeError

HEAD = ("pixel art", "24x24")
SUBJECT = "portrait of bespoke punk"
TAIL = ("sharp pixel edges", "hard color borders", "retro pixel art style")

_CHOICES = re.compile(r"\{([^{}]*)\}")
_HABITS = {
    r"<(?:lora|lyco|hypernet):[^<>]*>": "name a LoRA file with lora instead",
    r"\((?:[^()]*:\s*[\d.]+\s*|\([^()]+\))\)": "there are no weights; put what matters first",
    r"\[[^][]+\]": "there is no alternation; use {a|b}",
    r"__[\w/*-]+__": "there are no wildcard files; use {a|b}",
    r"\{[^{}]*\}": "choices have a |, as in {red|blue}",
}


def complete(prompt: str) -> str:
    """Adds the trigger words that a prompt lacks, each where the training captions have it; none is added twice.

    `lady, red hair` -> `pixel art, 24x24, portrait of bespoke punk lady, red hair, sharp pixel edges, ...`
    """
    text = prompt.strip().rstrip(",. ")
    body = text if _has("bespoke punk", text) else _name_subject(text)
    phrases = [part.strip() for part in body.split(",")]
    tail = [word for word in TAIL if not _has(word, body)]
    if not tail and body == text and all(word in [phrase.lower() for phrase in phrases] for word in HEAD):
        return prompt
    return ", ".join([*HEAD, *(phrase for phrase in phrases if phrase.lower() not in HEAD), *tail])


def _name_subject(text: str) -> str:
    match = re.match(r"(?:a |the )?(?:portrait of )?(?:a |the )?(lady|lad)\b,?\s*", text, re.IGNORECASE)
    if match is None:
        return f"{SUBJECT}, {text}"
    rest = text[match.end() :]
    return f"{SUBJECT} {match[1].lower()}" + (f", {rest}" if rest else "")


def _has(phrase: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) is not None


class Choices:
    """A prompt with choices: `{red|blue} hair`; `{3::red|blue}` draws red three times as often.

    Raises RecipeError where braces hold other braces, or only choices of weight 0.
    """

    def __init__(self, text: str) -> None:
        parts = _CHOICES.split(text)
        if any("{" in part or "}" in part for part in parts[::2]):
            raise RecipeError("prompt", text, "braces hold choices, as in {red|blue}, and not other braces")
        self._texts = parts[::2]
        self._choices = [[_weighted(one) for one in part.split("|")] for part in parts[1::2]]
        if not all(sum(weight for _, weight in one) for one in self._choices):
            raise RecipeError("prompt", text, "one of the choices needs a weight above 0")
        self.combinations = math.prod(map(len, self._choices))

    def drawn(self, seed: int, number: int) -> str:
        """A prompt at random; what is drawn depends on `seed` and `number` alone."""
        draw = random.Random(f"{seed}/{number}")
        return self._joined([draw.choices(*zip(*one, strict=True))[0] for one in self._choices])

    def combination(self, number: int) -> str:
        """One of all combinations, numbered from 0."""
        chosen: list[str] = []
        for one in self._choices:
            number, at = divmod(number, len(one))
            chosen.append(one[at][0])
        return self._joined(chosen)

    def _joined(self, chosen: list[str]) -> str:
        return "".join(a + b for a, b in zip(self._texts, [*chosen, ""], strict=True))


def drawn(prompt: str, seed: int, number: int) -> str:
    """The prompt with its choices drawn. Raises RecipeError."""
    return Choices(prompt).drawn(seed, number) if re.search(r"\{[^{}]*\|[^{}]*\}", prompt) else prompt


def literal(field: str, text: str) -> list[str]:
    """Warnings about syntax of other tools, which is painted here as plain text."""
    return [
        f"{field}: {match[0]} is painted as text; {way}"
        for pattern, way in _HABITS.items()
        for match in re.finditer(pattern, text)
    ]


def _weighted(choice: str) -> tuple[str, float]:
    match = re.fullmatch(r"\s*(\d*\.?\d+)::(.*)", choice, re.DOTALL)
    return (match[2], float(match[1])) if match else (choice, 1)
