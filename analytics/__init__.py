"""Where floats and data frames may be: checks on real data, matching at scale, fitting."""
