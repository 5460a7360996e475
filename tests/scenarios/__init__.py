"""Stories of faults: each a text file with its schedule, what it wants, and what came of it."""
