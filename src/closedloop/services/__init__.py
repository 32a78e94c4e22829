"""The three services, none of which knows another, and what they share."""
