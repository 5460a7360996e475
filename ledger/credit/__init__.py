"""What the ledger knows of companies: records, categories, authorisations, assets, alerts."""
