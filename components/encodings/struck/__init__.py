"""The encoding with onsets: a token also says which pitches are struck."""
