"""The encoding that keeps onsets: a token also says which pitches begin."""
