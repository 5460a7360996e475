"""The `creditledger` command line: one module a noun, thin over the packages (DESIGN 7)."""
