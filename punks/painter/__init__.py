"""Prompt to painting on one device: the only room, with `punks.lora`, that needs torch."""
