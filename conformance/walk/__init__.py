"""A walk through the Client-Server API: every operation that Roost serves, asked for properly and improperly."""
