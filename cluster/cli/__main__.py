"""`python -m assay.cluster.cli`: the command line without the `assay` script on the PATH, as in a Ray job."""

from assay.cluster.cli.main import main

main()
