"""Model in, model out: one question per file."""
