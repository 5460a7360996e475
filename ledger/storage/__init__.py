"""Where bytes are kept: the Store protocol, in memory and in LevelDB; the vote log; the home."""
