"""`python -m reconciler` is `orloj`."""

from reconciler.cli import main

main()
