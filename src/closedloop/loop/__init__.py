"""The loop: the contract of its messages and the state that they make; standard library only."""
