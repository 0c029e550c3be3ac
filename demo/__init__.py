"""The simulated fleet behind `quarterdeck demo`. Only `app.cli` may import it."""
