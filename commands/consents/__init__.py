"""`creditledger consent` and `person`: what a company lets others see, and who agrees."""
