"""From an object and a patch to the object after it: pure."""
