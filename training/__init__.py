"""How the embedded demo model was made: portraits, captions, training. Never imported by punks/."""
