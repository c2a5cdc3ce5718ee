"""The commands of `qie`, by what they are for. Each says what it found, and returns the exit code."""
