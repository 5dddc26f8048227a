"""The process that a program runs in: devices, imports, signals, provenance, progress."""
