"""The words of the training captions: subjects, traits, colors and eyes. Source: the owner's template and captions."""

Color = tuple[int, int, int]

SUBJECTS = ("lady", "lad")
PATTERNS = ("solid", "checkered", "gradient", "split", "striped")
# what captions call a color, for backgrounds, palettes and prompts alike
COLORS: dict[str, Color] = {
    "blue": (0x34, 0x68, 0xDC),
    "light blue": (0x96, 0xC8, 0xF0),
    "dark blue": (0x18, 0x20, 0x60),
    "green": (0x2C, 0x9C, 0x48),
    "bright neon green": (0x6A, 0xE7, 0x45),
    "dark green": (0x16, 0x4A, 0x2E),
    "red": (0xD2, 0x28, 0x2C),
    "dark red": (0x70, 0x12, 0x22),
    "purple": (0x7A, 0x3C, 0xB6),
    "lavender": (0xC8, 0xAC, 0xEE),
    "orange": (0xF0, 0x8A, 0x24),
    "peach": (0xFA, 0xC4, 0xA0),
    "yellow": (0xF8, 0xDA, 0x38),
    "pink": (0xF4, 0x86, 0xB8),
    "magenta": (0xCE, 0x1C, 0x80),
    "gray": (0x88, 0x8A, 0x8E),
    "brown": (0x7A, 0x4E, 0x2E),
    "teal": (0x14, 0x8A, 0x8C),
    "cyan": (0x3E, 0xD4, 0xE8),
    "black": (0x12, 0x10, 0x16),
    "white": (0xF4, 0xF4, 0xF2),
    "beige": (0xE0, 0xCE, 0xAA),
}
# what irises become: the most common of the colors that people call so (see punks/snap/portrait/names.py), with a blue
# and a black that show in a single cell
EYES: dict[str, Color] = {
    "brown": (101, 55, 0),
    "blue": (1, 101, 252),
    "green": (21, 176, 26),
    "black": (16, 14, 18),
    "gray": (146, 149, 145),
}
# hair styles that are nouns: `black afro`, but `red curly hair`
CUTS = ("afro", "buzz cut", "mohawk", "bob", "bun", "ponytail", "pigtails")
# expressions that are nouns: `slight smile`, but `neutral expression`
MOUTHS = ("smile", "grin", "smirk", "frown")
# said without "wearing", after everything that is worn
GROWN = {"beard": "beard", "mustache": "mustache", "stubble": "light stubble", "joint": "smoking a joint"}
TRAITS: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "hair": (
        *("black", "brown", "blonde", "red", "ginger", "blue", "green", "purple", "pink", "gray", "white"),
        *("short", "long", "curly", "wavy", "spiky", "slicked back", *CUTS, "bald"),
    ),
    "expression": ("neutral", "slight smile"),
    "lips": ("red", "pink", "dark red", "purple", "black"),
    "eyes": tuple(EYES),
    "skin": ("light", "medium", "tan", "dark"),
    "background": (*COLORS, *PATTERNS),
    "wear": (
        *("golden hoop earrings", "golden stud earrings", "silver necklace with pendant", "gold chain"),
        *("red bow in hair", "gold crown", "tiara", "flower crown", "top hat", "wizard hat", "fedora", "beanie"),
        *("baseball cap", "bandana", "glasses", "black stunner shades with white reflection", *GROWN),
    ),
}
