"""`python -m assay.cluster.cli`: the command line where its script is not on the path, as in a Ray job."""

from assay.cluster.cli.main import main

main()
