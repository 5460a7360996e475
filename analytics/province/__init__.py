"""A synthetic province: companies, their records and their facts, as many as are asked for."""
