"""The demo: five arms, four variants of a small model and the control once more, on real handwritten digits."""
