"""The nouns: frozen dataclasses and functions over them. No I/O, no clock."""
