"""Applications that come with the emulator: node programs and what they measure."""
