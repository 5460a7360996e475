"""What a soak puts around a network of real nodes: links that can be cut, and a load."""
