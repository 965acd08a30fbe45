"""The paper's encoding: a token is a whole frame."""
