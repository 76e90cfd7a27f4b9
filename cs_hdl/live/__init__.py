"""The browser page: draw a digit, see what the network makes of it."""
