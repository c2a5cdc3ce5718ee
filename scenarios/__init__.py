"""Scenarios, applications, the command line: what people use. See `scenarios.load` and `scenarios.run`."""
