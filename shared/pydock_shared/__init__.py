"""What both sides of the socket agree on: wire models, error kinds, references, and the syntax of flags."""
