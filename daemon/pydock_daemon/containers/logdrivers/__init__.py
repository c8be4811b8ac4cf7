"""Log drivers: which there are, their options, what they know of a container, and how the supervisor is to write."""
