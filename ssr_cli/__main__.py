"""`python -m ssr_cli`."""

from ssr_cli.cli import main

main()
