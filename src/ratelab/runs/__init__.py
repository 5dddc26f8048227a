"""One run: planned once, trained, recorded."""
