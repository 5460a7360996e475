"""Decision letters: what a rule decided on an application, for the person whom it concerns."""
