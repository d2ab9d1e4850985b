"""The demo: five versions of one small model on real handwritten digits."""
