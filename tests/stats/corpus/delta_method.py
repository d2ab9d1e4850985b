"""The delta method for ratios of sums, an independent check of corpus metrics."""


def linearised(y_RA, x_RA):
    """Row scores whose mean is `sum(y) / sum(x)` and whose variance is the ratio's (Deng, Knoblich & Lu 2018, KDD)."""
    ratio_A = y_RA.sum(axis=0) / x_RA.sum(axis=0)
    return ratio_A + (y_RA - ratio_A * x_RA) / x_RA.mean(axis=0)
