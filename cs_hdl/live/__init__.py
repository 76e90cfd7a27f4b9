"""The browser page: draw a digit or say a word, see what the network makes of it."""
