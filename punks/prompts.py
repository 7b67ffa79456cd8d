"""The caption template that the LoRA was trained on.

Source: the owner's prompts, `pixel art, 24x24, portrait of bespoke punk {lady|lad}, ..., sharp pixel edges, hard color
borders, retro pixel art style`.
"""

import re

HEAD = ("pixel art", "24x24")
SUBJECT = "portrait of bespoke punk"
TAIL = ("sharp pixel edges", "hard color borders", "retro pixel art style")


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
