"""Installing a part: the programs of others that belong to it, and how each is started."""
