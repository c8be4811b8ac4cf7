"""The verbs of `pydock-runtime`, one a file; `cli` says what each has to have."""
