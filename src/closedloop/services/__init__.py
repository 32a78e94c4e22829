"""The three services, none of which knows another, and the kit that they share."""
