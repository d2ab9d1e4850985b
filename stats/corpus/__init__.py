"""Corpus metrics (AUROC, F1, ...: one number for the whole dataset), turned into one pseudo-value per row."""
