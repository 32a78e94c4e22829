"""The parts that are programs of others: where each comes from and how it is started."""
