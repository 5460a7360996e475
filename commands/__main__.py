"""`python -m commands` is `creditledger`, without what only a running node needs to import."""

from __future__ import annotations

from commands.cli import cli

if __name__ == "__main__":
    cli()
