"""`creditledger loan`: from application to settlement, and the letters about it."""
