"""Corpus metrics as scores of rows: AUROC, F1 and others that are one number for the whole dataset."""
