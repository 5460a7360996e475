"""TLS links between nodes, the gateway for clients, and the client SDK; all on trio (DESIGN 6)."""
