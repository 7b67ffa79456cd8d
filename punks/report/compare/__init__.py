"""The same pictures over epochs, or another field of a recipe: side by side, scored, and judged as measured."""
