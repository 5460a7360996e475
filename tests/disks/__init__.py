"""F53 to F62 on the real files of the real database and vote log."""
