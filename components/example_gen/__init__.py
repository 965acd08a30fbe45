"""ExampleGen: MIDI files to songs as frames, split by song, each music once."""
